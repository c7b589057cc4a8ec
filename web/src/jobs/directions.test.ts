import { expect, test } from "vitest";

import type { Direction } from "../api/types";
import { changePerSd, deviations, predicted, predicts } from "./directions";

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

test("a regression predicts its attribute of a latent, of styles by their mean, of logarithms as itself", () => {
  const vector = [0, 1];
  expect(predicted({ ...FITTED, space: "z" }, vector, { latent: [5, 2], space: "z" })).toBe(2);
  expect(
    predicted({ ...FITTED, space: "w" }, vector, {
      latent: [
        [9, 1],
        [9, 3],
      ],
      space: "w",
    }),
  ).toBe(2);
  expect(predicted({ ...FITTED, space: "z", transform: "log" }, vector, { latent: [5, 6], space: "z" })).toBe(1);
  expect(predicted({ ...FITTED, space: "w" }, vector, { latent: [5, 2], space: "z" })).toBeNull();
  expect(predicted({ ...FITTED, space: "z", slope: null }, vector, { latent: [5, 2], space: "z" })).toBeNull();
  expect([predicts(FITTED), predicts({ ...FITTED, intercept: null })]).toEqual([true, false]);
});

test("a walk is told in standard deviations with its sign", () => {
  expect([2.314, -0.5, 0].map(deviations)).toEqual(["+2.31 SD", "\u22120.50 SD", "0.00 SD"]);
});
