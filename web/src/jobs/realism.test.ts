import { expect, test } from "vitest";

import type { ResultFile } from "../api/types";
import { arranged, nearestOf, realismOf } from "./realism";

const result = (index: number, realism: number | null): ResultFile => ({ index, realism, nearest: null }) as ResultFile;
const four = [result(0, 0.5), result(1, 1.25), result(2, null), result(3, 0.5)];
const places = (results: ResultFile[]): number[] => results.map(({ index }) => index);

test("volumes are arranged by their realism, and those without come last", () => {
  expect(places(arranged(four, "made", 0))).toEqual([0, 1, 2, 3]);
  expect(places(arranged(four, "most", 0))).toEqual([1, 0, 3, 2]);
  expect(places(arranged(four, "least", 0))).toEqual([0, 3, 1, 2]);
  expect(places(arranged(four, "least", 0.6))).toEqual([1]);
});

test("a realism is told with what is remarkable of the nearest scan", () => {
  const copy = { ...result(0, 2.5), nearest: { index: 7, distance: 0.05, is_nearer: true } };
  expect([realismOf(four[1] as ResultFile), realismOf(four[2] as ResultFile)]).toEqual(["Realism 1.25", null]);
  expect(realismOf(copy)).toBe("Realism 2.50, near a scan");
  expect(nearestOf(copy)).toContain("number 7, at 0.05, nearer than");
  expect(nearestOf(four[0] as ResultFile)).toBeUndefined();
});
