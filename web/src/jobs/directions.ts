// What a direction fitted by regression says about its attribute.
import type { Direction } from "../api/types";
import { figure } from "../text/words";
import type { LatentSource } from "./latents";

/** How its attribute changes over one standard deviation; empty where it predicts none. */
export function changePerSd({ slope, std, transform, units, attribute }: Direction): string {
  if (slope === null) return "";
  const step = Math.abs(slope * std);
  const change = transform === "log" ? `${figure(Math.exp(step))} times` : `${figure(step)} ${units} of`;
  return `${change} ${attribute || "the attribute"}`;
}

/** Whether it predicts its attribute, so that a value can be asked for. */
export function predicts({ slope, intercept }: Direction): boolean {
  return slope !== null && intercept !== null;
}

/** The attribute that it predicts of a latent of its own space, as the service does; null where it predicts none. */
export function predicted(direction: Direction, vector: readonly number[], source: LatentSource): number | null {
  const { slope, intercept, space, transform } = direction;
  if (slope === null || intercept === null || (source.space ?? "z") !== space) return null;
  const rows = (Array.isArray(source.latent[0]) ? source.latent : [source.latent]) as number[][];
  const along = rows.map((row) => row.reduce((sum, value, k) => sum + value * (vector[k] ?? 0), 0));
  const value = (slope * along.reduce((sum, one) => sum + one, 0)) / rows.length + intercept;
  return transform === "log" ? Math.exp(value) : value;
}

/** A signed number of standard deviations. */
export function deviations(strength: number): string {
  const sign = strength > 0 ? "+" : strength < 0 ? "\u2212" : "";
  return `${sign}${Math.abs(strength).toFixed(2)} SD`;
}
