import { expect, test } from "vitest";

import type { Direction } from "../api/types";
import { changePerSd } from "./directions";

const FITTED = {
  name: "size",
  method: "regression",
  attribute: "head volume",
  std: 2,
  slope: -0.5,
  intercept: 3,
  transform: "none",
  units: "l",
} as unknown as Direction;

test("a direction says how its attribute changes over one standard deviation", () => {
  expect(changePerSd(FITTED)).toBe("1 l of head volume");
  expect(changePerSd({ ...FITTED, transform: "log", slope: 0.5 })).toBe("2.72 times head volume");
  expect(changePerSd({ ...FITTED, slope: null })).toBe("");
});
