// What a direction fitted by regression says about its attribute.
import type { Direction } from "../api/types";
import { figure } from "../text/words";

/** How its attribute changes over one standard deviation; empty where it predicts none. */
export function changePerSd({ slope, std, transform, units, attribute }: Direction): string {
  if (slope === null) return "";
  const step = Math.abs(slope * std);
  const change = transform === "log" ? `${figure(Math.exp(step))} times` : `${figure(step)} ${units} of`;
  return `${change} ${attribute || "the attribute"}`;
}
