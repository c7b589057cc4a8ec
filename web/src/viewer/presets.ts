// Windows by name: the usual ones of CT in Hounsfield units, and those that come of a volume's own values.
import { figure } from "../text/words";
import { type Histogram, percentiles } from "./histogram";

interface Ends {
  low: number;
  high: number;
}

export interface Preset {
  key: string;
  name: string;
  /** Null until the volume's values were counted. */
  window: Ends | null;
  /** Whether its numbers are Hounsfield units. */
  isCt: boolean;
}

/** Centre and width in HU, as reading rooms have them. */
const CT = [
  ["brain", "Brain", 40, 80],
  ["bone", "Bone", 500, 2000],
  ["lung", "Lung", -600, 1500],
  ["soft-tissue", "Soft tissue", 40, 400],
  ["mediastinum", "Mediastinum", 50, 350],
] as const;
/** Air, and something denser than water: what values of an unnamed unit look like when they are HU. */
const AIR = -900;
const LEAST_STORED = -4096;
const DENSE = 200;

export type Hounsfield = "told" | "likely" | "no";

/** Whether values are in HU, by their unit, or where none is told by what they are. */
export function hounsfield(unit: string, min: number, max: number): Hounsfield {
  if (unit) return unit === "HU" ? "told" : "no";
  return min <= AIR && min >= LEAST_STORED && max >= DENSE ? "likely" : "no";
}

export function presetsOf(own: Ends, counted: Histogram | null, isHounsfield: boolean): Preset[] {
  const auto = counted && percentiles(counted, 0.01, 0.99);
  const full = counted && { low: counted.min, high: counted.max };
  const general: Preset[] = [
    { key: "own", name: `Usual (${ends(own)})`, window: own, isCt: false },
    { key: "auto", name: named("Auto, 1st to 99th percentile", auto), window: auto, isCt: false },
    { key: "full", name: named("Full", full), window: full, isCt: false },
  ];
  const ct = CT.map(([key, name, centre, width]) => ({
    key,
    name: `${name} (C ${figure(centre)}, W ${width})`,
    window: { low: centre - width / 2, high: centre + width / 2 },
    isCt: true,
  }));
  return isHounsfield ? [...general, ...ct] : general;
}

function ends({ low, high }: Ends): string {
  return `${figure(low)} to ${figure(high)}`;
}

function named(name: string, window: Ends | null): string {
  return window ? `${name} (${ends(window)})` : name;
}

/** The preset that a window is; null for any other. */
export function presetAt({ low, high }: Ends, presets: readonly Preset[]): string | null {
  const near = Math.max(1e-9, (high - low) / 1000);
  const found = presets.find(
    ({ window }) => window && Math.abs(window.low - low) <= near && Math.abs(window.high - high) <= near,
  );
  return found?.key ?? null;
}
