import { expect, test } from "vitest";

import { bars, histogramOf, percentiles } from "./histogram";
import { hounsfield, presetAt, presetsOf } from "./presets";

const OWN = { low: -20, high: 100 };
const PLAIN = { slope: 1, intercept: 0 };
const rest = (): Promise<void> => Promise.resolve();

test("a volume in HU has the windows of CT, each with its numbers; another has none of them", () => {
  const presets = presetsOf(OWN, null, true);
  expect(presets.filter(({ isCt }) => isCt).map(({ name }) => name)).toEqual([
    "Brain (C 40, W 80)",
    "Bone (C 500, W 2000)",
    "Lung (C -600, W 1500)",
    "Soft tissue (C 40, W 400)",
    "Mediastinum (C 50, W 350)",
  ]);
  expect(presets.find(({ key }) => key === "lung")?.window).toEqual({ low: -1350, high: 150 });
  expect(presetsOf(OWN, null, false).map(({ key }) => key)).toEqual(["own", "auto", "full"]);
});

test("whether values are HU is told by the unit, or else by what they are", () => {
  expect(hounsfield("HU", 0, 1)).toBe("told");
  expect(hounsfield("a.u.", -1000, 2000)).toBe("no");
  expect(hounsfield("", -1000, 2000)).toBe("likely");
  expect(hounsfield("", 0, 4000)).toBe("no");
  expect(hounsfield("", -32768, 32767)).toBe("no");
});

test("a window is known again as the preset it is, but for what a slider rounds", () => {
  const presets = presetsOf(OWN, null, true);
  expect(presetAt({ low: 0.01, high: 79.99 }, presets)).toBe("brain");
  expect(presetAt(OWN, presets)).toBe("own");
  expect(presetAt({ low: 0, high: 90 }, presets)).toBeNull();
});

test("every voxel is counted once, in the volume's own units", async () => {
  const voxels = Int16Array.from({ length: 1_200_000 }, (_, k) => k % 100);
  let rests = 0;
  const counted = await histogramOf(voxels, { slope: 2, intercept: -50 }, () => {
    rests += 1;
    return Promise.resolve();
  });
  expect([counted.min, counted.max]).toEqual([-50, 148]);
  expect(counted.counts.reduce((sum, count) => sum + count, 0)).toBe(voxels.length);
  expect(counted.counts[0]).toBe(12_000);
  expect(counted.counts.at(-1)).toBe(12_000);
  expect(rests, "the page can answer between the pieces").toBeGreaterThan(2);
});

test("counting ends where resting throws, and values that are no numbers are left out", async () => {
  const stopped = histogramOf(new Int16Array(10), PLAIN, () => Promise.reject(new Error("stopped")));
  await expect(stopped).rejects.toThrow("stopped");
  const counted = await histogramOf(Float32Array.of(Number.NaN, 1, 3, Number.POSITIVE_INFINITY), PLAIN, rest);
  expect([counted.min, counted.max, counted.counts.reduce((sum, count) => sum + count, 0)]).toEqual([1, 3, 2]);
});

test("a negative slope turns the histogram about", async () => {
  const counted = await histogramOf(Int16Array.of(0, 0, 0, 10), { slope: -1, intercept: 0 }, rest);
  expect([counted.min, counted.max, counted.counts[0], counted.counts.at(-1)]).toEqual([-10, 0, 1, 3]);
});

test("the percentiles leave the background apart", async () => {
  const voxels = Int16Array.from({ length: 101_000 }, (_, k) => (k < 100_000 ? 0 : k - 99_999));
  const { low, high } = percentiles(await histogramOf(voxels, PLAIN, rest), 0.01, 0.99);
  expect(low).toBeCloseTo(10, -1);
  expect(high).toBeCloseTo(990, -1);
  const flat = await histogramOf(new Int16Array(5), PLAIN, rest);
  expect(percentiles(flat, 0.01, 0.99)).toEqual({ low: 0, high: 0 });
});

test("bars are from 0 to 1, and rare values can be seen beside common ones", async () => {
  const voxels = Int16Array.from({ length: 100_000 }, (_, k) => (k < 50 ? 1000 : k % 2));
  const heights = bars(await histogramOf(voxels, PLAIN, rest), 64);
  expect(Math.max(...heights)).toBe(1);
  expect(heights.at(-1)).toBeGreaterThan(0.3);
  expect(heights[30]).toBe(0);
});
