import { expect, test } from "vitest";

import { difference, matched, reach } from "./difference";
import { niftiFacts, niftiLength, niftiOf, scalingOf, voxelsOf, placeUnsaid } from "./nifti";
import { gradientLength } from "./layers";

const AFFINE = [
  [-0.8, 0, 0, 10],
  [0, 0.9, 0, -20],
  [0, 0, 2, 30],
];

test("a volume comes back from the file that was made of it", () => {
  const voxels = Int16Array.from({ length: 2 * 3 * 4 }, (_, k) => 100 * k - 500);
  const bytes = niftiOf([2, 3, 4], AFFINE, voxels);
  const head = new Uint8Array(bytes);
  expect(niftiFacts(head)).toMatchObject({ shape: [2, 3, 4], type: 4, bitpix: 16, offset: 352 });
  expect(niftiLength(head)).toBe(bytes.byteLength);
  expect(voxelsOf({ name: "a.nii", bytes })).toEqual(voxels);
  const view = new DataView(bytes);
  expect([0, 1, 2].map((axis) => view.getFloat32(80 + 4 * axis, true))).toEqual([0.8, 0.9, 2].map(Math.fround));
  expect(view.getFloat32(280 + 12, true)).toBe(10);
});

test("the voxels are not copied", () => {
  const bytes = niftiOf([1, 1, 2], AFFINE, new Float32Array([1, 2]));
  expect(voxelsOf({ name: "a.nii", bytes })?.buffer).toBe(bytes);
});

test("what is no whole NIfTI file has no voxels", () => {
  const bytes = niftiOf([2, 2, 2], AFFINE, new Int16Array(8));
  expect(voxelsOf({ name: "a.nii", bytes: bytes.slice(0, 356) })).toBeNull();
  expect(voxelsOf({ name: "a.nii", bytes: new ArrayBuffer(1000) })).toBeNull();
  expect(niftiFacts(new Uint8Array(10))).toBeNull();
});

test("a file tells how its values are meant", () => {
  const bytes = niftiOf([2, 2, 2], AFFINE, new Int16Array(8));
  expect(scalingOf({ name: "a.nii", bytes })).toEqual([1, 0, 0, 0]);
  const view = new DataView(bytes);
  view.setFloat32(124, 80, true);
  view.setFloat32(128, -20, true);
  expect(scalingOf({ name: "a.nii", bytes })).toEqual([1, 0, -20, 80]);
  expect(scalingOf({ name: "a.nrrd", bytes: new ArrayBuffer(10) })).toEqual([]);
});

test("a difference is second minus first, and is clipped", () => {
  expect([...difference([0, 10, -30000], [5, 4, 30000])]).toEqual([5, -6, 32767]);
});

test("values in other units are matched by a line before they are compared", () => {
  const first = Array.from({ length: 1000 }, (_, k) => k);
  const second = first.map((value) => 2.5 * value - 40);
  const line = matched(first, second);
  expect(line.slope).toBeCloseTo(2.5);
  expect(line.intercept).toBeCloseTo(-40);
  expect(Math.max(...difference(first, second, line).map(Math.abs))).toBe(0);
  expect(matched([3, 3], [5, 7])).toEqual({ slope: 1, intercept: 3 });
});

test("a few outliers do not take the colours", () => {
  const apart = Int16Array.from({ length: 1000 }, (_, k) => (k === 0 ? 30000 : (k % 21) - 10));
  expect(reach(apart)).toBe(10);
  expect(reach(new Int16Array(5))).toBe(1);
});

test("a scan that does not say where it lies is put where the service puts it", () => {
  const bytes = niftiOf(
    [3, 4, 5],
    [
      [9, 0, 0, 7],
      [0, 2, 0, 7],
      [0, 0, 2, 7],
    ],
    new Int16Array(60),
  );
  const view = new DataView(bytes);
  const rows = (): number[] => Array.from({ length: 12 }, (_, k) => view.getFloat32(280 + 4 * k, true));
  const before = rows();
  placeUnsaid({ name: "a.nii", bytes });
  expect(rows(), "it says so").toEqual(before);
  view.setInt16(254, 0, true);
  placeUnsaid({ name: "a.nii", bytes });
  expect(rows()).toEqual([-9, 0, 0, 9, 0, 2, 0, -3, 0, 0, 2, -4]);
});

test("edges are where a volume changes, per millimetre", () => {
  const step = Int16Array.from({ length: 64 }, (_, k) => (k % 4 < 2 ? 0 : 100));
  const lengths = gradientLength(step, [4, 4, 4], [1, 2, 2]);
  expect([...lengths.slice(0, 4)]).toEqual([0, 255, 255, 0]);
});
