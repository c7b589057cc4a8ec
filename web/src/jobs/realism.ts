// How likely volumes are beside the scans of their model: in words, in order, and only those above a number.
import type { ResultFile } from "../api/types";
import { figure } from "../text/words";

export type Order = "made" | "most" | "least";

export const ORDERS: readonly (readonly [Order, string])[] = [
  ["made", "As they were made"],
  ["most", "Most realistic first"],
  ["least", "Least realistic first"],
];

/** Those of at least that realism in that order; what has none comes last, and falls to no filter but 0. */
export function arranged(results: readonly ResultFile[], order: Order, least: number): ResultFile[] {
  const kept = results.filter(({ realism }) => least <= 0 || (realism ?? -1) >= least);
  if (order === "made") return kept;
  const turn = order === "most" ? -1 : 1;
  const place = ({ realism }: ResultFile): number => (realism === null ? Number.POSITIVE_INFINITY : turn * realism);
  return kept.sort((one, other) => (place(one) === place(other) ? one.index - other.index : place(one) - place(other)));
}

/** "Realism 0.91", and what is remarkable of the nearest scan. */
export function realismOf({ realism, nearest }: ResultFile): string | null {
  if (realism === null) return null;
  return `Realism ${figure(realism)}${nearest?.is_nearer ? ", near a scan" : ""}`;
}

/** What stands behind it, in a sentence. */
export function nearestOf({ nearest }: ResultFile): string | undefined {
  if (!nearest) return undefined;
  const than = nearest.is_nearer
    ? "nearer than that scan is to any other, as copies are"
    : "no nearer than scans are to each other";
  return `Nearest of the model's scans: number ${nearest.index}, at ${figure(nearest.distance)}, ${than}.`;
}
