// Numbers and names as people read them.
import type { AnyCard, JobRecord, JobState, ResultFile, Webhook } from "../api/types";

export const STATES: Record<JobState, string> = {
  queued: "Queued",
  running: "Running",
  succeeded: "Done",
  failed: "Failed",
  canceled: "Canceled",
  expired: "Expired",
};

const STAGES: Record<string, string> = {
  load: "Loading the model",
  prepare: "Preparing the scan",
  encode: "Encoding",
  refine: "Refining the latent",
  forward: "Synthesising",
  resample: "Resampling",
  measure: "Measuring",
  write: "Writing",
  fit: "Fitting",
  edges: "Drawing the edges",
};

export function volumes(count: number): string {
  return count === 1 ? "1 volume" : `${count} volumes`;
}

/** What came of a job that has ended. */
function outcome(record: JobRecord): string {
  const { results, timings_s } = record;
  if (record.state === "expired") return "The results were removed after their time";
  const isDone = record.state === "succeeded";
  if (results.length === 0 && !isDone) return "";
  const made = volumes(results.length);
  const total = timings_s["total"];
  if (results.length === 0) return total ? `Took ${seconds(total)}` : "";
  return isDone && total ? `${made} in ${seconds(total)}` : `${made} kept`;
}

/** What a job is doing now. */
export function doing(record: JobRecord): string {
  if (record.state === "queued")
    return record.queue_position && record.queue_position > 1 ? `Queued, ${record.queue_position - 1} ahead` : "Queued";
  if (record.state !== "running") return outcome(record);
  const { done, total, left_s: left } = record.progress;
  const scale = /^scale (\d+)\/(\d+)$/.exec(record.stage ?? "");
  if (scale) {
    const patch = `Scale ${scale[1]} of ${scale[2]}, patch ${Math.min(done + 1, total)} of ${total}`;
    return typeof left === "number" ? `${patch}, ${seconds(left)} left` : patch;
  }
  const stage = STAGES[record.stage ?? ""] ?? "Starting";
  return total > 1 && record.stage !== "load" ? `${stage} ${Math.min(done + 1, total)} of ${total}` : stage;
}

/** How far the telling of a job's end has come. */
export function toldOf({ receiver, state, attempts }: Webhook): string {
  const tried = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  const words = {
    waiting: "when the job ends",
    pending: attempts ? tried : "being told",
    delivered: "delivered",
    given_up: "given up",
  };
  return `Webhook to ${receiver}: ${words[state]}${state === "given_up" ? ` after ${tried}` : ""}`;
}

export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  const units = ["kB", "MB", "GB"];
  let value = size / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function seconds(value: number): string {
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  const minutes = Math.floor(value / 60);
  return `${minutes} min ${Math.round(value - 60 * minutes)} s`;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function ago(when: string, now = Date.now()): string {
  const past = (now - Date.parse(when)) / 1000;
  for (const [unit, length] of STEPS) if (past >= length) return relative.format(-Math.floor(past / length), unit);
  return "just now";
}

export function grid(shape: readonly number[]): string {
  return shape.every((side) => side === shape[0]) && shape.length === 3 ? `${shape[0]}³` : shape.join(" × ");
}

/** Of a whole volume, along the axes of its grid. */
export function sizeOf({ shape, spacing_mm }: { shape: readonly number[]; spacing_mm: readonly number[] }): string {
  return `${shape.map((side, axis) => figure(side * (spacing_mm[axis] ?? 0))).join(" × ")} mm`;
}

/** Three significant places at most, no exponent where it can be helped. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return value.toFixed(size >= 10 ? 1 : 2);
}

/** What sets a result apart from its neighbours. */
export function nameOf(result: ResultFile): string {
  const { label, latent } = result;
  if (label) {
    if (label === "reconstruction") return "Reconstruction, model grid";
    if (label === "reconstruction-scan-grid") return "Reconstruction, scan grid";
    if (isOnScanGrid(result)) return `${nameOf({ ...result, label: label.slice(0, -ON_SCAN.length) })}, scan grid`;
    const [name = "", value = ""] = label.split("=", 2);
    if (name === "strength") return `${Number(value) > 0 ? "+" : ""}${value.replace("-", "−")} SD`;
    if (name === "step") return `Step ${value}`;
    return `${name.charAt(0).toUpperCase()}${name.slice(1)} ${value}`.trim();
  }
  if (latent && typeof latent["seed"] === "number") return `Seed ${latent["seed"]}`;
  return `Sample ${result.index + 1}`;
}

/** How labels of volumes that lie on the scan's own grid end. */
const ON_SCAN = " scan-grid";

/** Of an encoding, or of an edit of one: the volume on the grid of the scan, which can be compared voxel by voxel. */
export function isOnScanGrid({ label }: ResultFile): boolean {
  return label === "reconstruction-scan-grid" || (label?.endsWith(ON_SCAN) ?? false);
}

/** A name for small places: what all neighbours have in common left out. */
export function shortNameOf(result: ResultFile): string {
  const name = nameOf(result).replace("Reconstruction, ", "");
  return name.charAt(0).toUpperCase() + name.slice(1);
}

export function unitOf(card: AnyCard | null): string {
  return card?.intensity.units ?? "";
}

/** Whether the page can show a result: NiiVue reads these. */
export function isViewable(name: string): boolean {
  return /\.(nii|nii\.gz|nrrd|mha)$/i.test(name);
}

/** "head-size" -> "Head size" */
export function titled(name: string): string {
  const words = name.replace(/[-_]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
