// What was measured, in words, and as a table to take along.
import { figure } from "../../text/words";
import type { Shown } from "../stage";
import { distance, type Point } from "./lattice";
import type { Found, Measure } from "./measuring";
import type { Measured } from "./region";
import { middleOf, type Shape } from "./shapes";

/** One line of the table: a distance, or a region in one of the volumes. */
export interface Row {
  number: number;
  shape: Shape;
  volume: string;
  unit: string;
  measured: Measured | null;
}

type Volume = Pick<Shown, "title" | "unit"> | null;

const KINDS = { distance: "Distance", rectangle: "Rectangle", ellipse: "Ellipse", sphere: "Sphere" } as const;
const PLANES = ["sagittal", "coronal", "axial"] as const;

export function rowsOf(
  measures: readonly Measure[],
  found: ReadonlyMap<number, Found>,
  volumes: readonly Volume[],
): Row[] {
  return measures.flatMap(({ number, shape }): Row[] => {
    if (shape.kind === "distance") return [{ number, shape, volume: "", unit: "", measured: null }];
    return volumes.flatMap((volume, at) => {
      if (!volume) return [];
      return [{ number, shape, volume: volume.title, unit: volume.unit, measured: found.get(number)?.[at] ?? null }];
    });
  });
}

/** "Ellipse, axial slices 12 to 14". */
export function named(shape: Shape): string {
  const kind = KINDS[shape.kind];
  if (shape.kind === "distance") return kind;
  if (shape.kind === "sphere") return `${kind}, radius ${millimetres(shape.radiusMm)}`;
  const { axis, low, high } = shape;
  const plane: string = PLANES[axis];
  const [first, last] = [low[axis] + 1, high[axis] + 1];
  return first === last ? `${kind}, ${plane} slice ${first}` : `${kind}, ${plane} slices ${first} to ${last}`;
}

export function millimetres(mm: number): string {
  return `${mm.toFixed(mm < 10 ? 2 : 1)} mm`;
}

export function size(shape: Shape, measured: Measured | null): string {
  if (shape.kind === "distance") return millimetres(distance(shape.fromMm, shape.toMm));
  if (!measured) return "–";
  return measured.areaMm2 === null ? `${figure(measured.volumeMm3 ?? 0)} mm³` : `${figure(measured.areaMm2)} mm²`;
}

/** For beside the shape: a length, or mean and standard deviation. */
export function brief(shape: Shape, measured: Measured | null, unit: string): string {
  if (shape.kind === "distance") return size(shape, null);
  const { mean, deviation } = measured?.statistics ?? {};
  if (mean === undefined || deviation === undefined) return "no voxel";
  return `${figure(mean)} ± ${figure(deviation)} ${unit}`.trim();
}

/** While it is drawn: how long, how wide, how far. */
export function extent(shape: Shape): string {
  if (shape.kind === "distance") return size(shape, null);
  if (shape.kind === "sphere") return `r ${millimetres(shape.radiusMm)}`;
  const { lattice, axis, low, high } = shape;
  const sides = ([0, 1, 2] as const).map((k) => {
    const step = Math.hypot(...lattice.affine.map((row) => row[k] ?? 0));
    return { k, mm: step * (high[k] - low[k] + 1) };
  });
  const isFlat = low[axis] === high[axis];
  const told = sides.filter(({ k }) => k !== axis || !isFlat).map(({ mm }) => mm.toFixed(1));
  return `${told.join(" × ")} mm`;
}

export function asText(rows: readonly Row[]): string {
  return rows.map(asLine).join("\n");
}

function asLine({ number, shape, volume, unit, measured }: Row): string {
  const head = `${number}  ${named(shape)}`;
  if (shape.kind === "distance") return `${head}: ${size(shape, null)}`;
  const of = volume ? `${head}, ${volume}` : head;
  const found = measured?.statistics;
  if (!found) return `${of}: no voxel`;
  const value = (told: number): string => `${figure(told)} ${unit}`.trim();
  return (
    `${of}: mean ${value(found.mean)}, SD ${value(found.deviation)}, min ${value(found.min)}, max ${value(found.max)}, ` +
    `median ${value(found.median)}, ${found.count} voxels, ${size(shape, measured)}`
  );
}

const COLUMNS = "number,shape,volume,unit,mean,sd,min,max,median,voxels,area_mm2,volume_mm3,length_mm,ras_mm" as const;

/** Numbers in six places, whatever the page rounds them to. */
export function asCsv(rows: readonly Row[]): string {
  const lines = rows.map(({ number, shape, volume, unit, measured }) => {
    const { mean, deviation, min, max, median, count } = measured?.statistics ?? {};
    const length = shape.kind === "distance" ? distance(shape.fromMm, shape.toMm) : undefined;
    const values = [mean, deviation, min, max, median, count, measured?.areaMm2, measured?.volumeMm3, length];
    return [
      String(number),
      quoted(named(shape)),
      quoted(volume),
      quoted(unit),
      ...values.map(exact),
      quoted(at(shape)),
    ];
  });
  return [COLUMNS, ...lines.map((line) => line.join(","))].join("\n");
}

function exact(value: number | null | undefined): string {
  return typeof value === "number" && Number.isFinite(value) ? String(Number(value.toPrecision(6))) : "";
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The middle of a region, or both ends of a distance. */
function at(shape: Shape): string {
  const told = (mm: Point): string => mm.map((value) => value.toFixed(2)).join(" ");
  return shape.kind === "distance" ? `${told(shape.fromMm)} to ${told(shape.toMm)}` : told(middleOf(shape));
}
