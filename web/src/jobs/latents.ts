// Moves along several directions at once: the same sums that the service does for one.
import type { Source } from "../api/types";

export type Latent = number[] | number[][];
export type LatentSource = Extract<Source, { latent: unknown }>;

export interface Step {
  vector: readonly number[];
  /** Of the latent along the vector: the unit of a strength. */
  std: number;
  strength: number;
}

/** latent + the sum of strength * std * vector. A direction of w moves every style's row alike. */
export function moved(latent: Latent, steps: readonly Step[]): Latent {
  const along = (row: number[]): number[] =>
    row.map((value, k) => steps.reduce((sum, step) => sum + step.strength * step.std * (step.vector[k] ?? 0), value));
  return isRows(latent) ? latent.map(along) : along(latent);
}

function isRows(latent: Latent): latent is number[][] {
  return Array.isArray(latent[0]);
}
