import { expect, test } from "vitest";

import { taken } from "./controls";

test("a typed number stays within its bounds, and is whole where the slider's steps are", () => {
  expect(taken(2.3, { min: -4, max: 4, step: 0.25 })).toBe(2.3);
  expect(taken(-9, { min: -4, max: 4, step: 0.25 })).toBe(-4);
  expect(taken(12.6, { min: 1, max: 64, step: 1 })).toBe(13);
  expect(taken(1000, { min: 1, max: 64, step: 1 })).toBe(64);
  expect(taken(Number.NaN, { min: 1, max: 64, step: 1 })).toBeNull();
});
