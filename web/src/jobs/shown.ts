// A job's results as volumes that the viewer can show, and the one kept aside to compare others with.
import { signal } from "@preact/signals";

import type { AnyCard, JobRecord, ResultFile } from "../api/types";
import { isViewable, nameOf, unitOf } from "../text/words";
import type { Shown } from "../viewer/stage";
import { fetchVolume } from "../viewer/volume";

export interface Kept {
  url: string;
  title: string;
  unit: string;
  scale: string;
  window: Shown["window"];
}

const SLOT = "voxelsmith.kept";

function restored(): Kept | null {
  try {
    return JSON.parse(sessionStorage.getItem(SLOT) ?? "null") as Kept | null;
  } catch {
    return null;
  }
}

/** The volume that was kept for comparison, for as long as the tab is open. */
export const kept = signal<Kept | null>(restored());

export function keep(volume: Kept | null): void {
  kept.value = volume;
  sessionStorage.setItem(SLOT, JSON.stringify(volume));
}

/** Whether the volume that was kept is one of this job's. */
export function isKept(jobId: string): boolean {
  return kept.value?.url.includes(jobId) ?? false;
}

export function describe(record: JobRecord, result: ResultFile, card: AnyCard | null): Kept {
  const output = (record.request["output"] ?? {}) as { intensity?: string };
  const isUnit = output.intensity === "unit";
  const unit = isUnit ? "" : unitOf(card);
  const scale = `${record.model} ${isUnit ? "unit" : "stored"}`;
  return { url: result.url, title: nameOf(result), unit, scale, window: isUnit ? { low: 0, high: 1 } : windowOf(card) };
}

function windowOf(card: AnyCard | null): Shown["window"] {
  if (!card) return null;
  const [low, high] = card.display_window ?? [card.intensity.low, card.intensity.high];
  return { low, high };
}

export function shownOf(volume: Kept): Shown {
  const { url, title, unit, scale, window = null } = volume;
  return { key: url, title, unit, scale, window, open: (abort, told) => fetchVolume(url, abort, told) };
}

export function viewable(record: JobRecord): ResultFile[] {
  return record.results.filter((result) => isViewable(result.name));
}
