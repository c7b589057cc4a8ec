import { expect, test } from "vitest";

import { panned, WHOLE, zoomed } from "./moves";

test("nearer and back again is where it was, and there is a nearest and a farthest", () => {
  const near = zoomed(WHOLE, 2, [10, -20, 5]);
  expect(near).toEqual([-10, 20, -5, 2]);
  expect(zoomed(near, 0.5, [10, -20, 5])).toEqual(WHOLE);
  expect(zoomed(WHOLE, 1000, [0, 0, 0])[3]).toBe(16);
  expect(zoomed(WHOLE, 0.001, [0, 0, 0])[3]).toBe(0.5);
});

test("what the cursor is on stays in its place, and a step to the side is as far however near one is", () => {
  const [x, , , zoom] = zoomed([3, 0, 0, 1.5], 3, [10, 0, 0]);
  expect(zoom * 10 + x).toBeCloseTo(1.5 * 10 + 3);
  expect(panned(WHOLE, [1, 0, 0], 20)).toEqual([20, 0, 0, 1]);
  expect(panned([0, 0, 0, 4], [0, -1, 1], 20)).toEqual([0, -20, 20, 4]);
});
