import { describe, expect, it } from "vitest";
import { outputOf, spacingFrom } from "./outputfields";

describe("the voxel size of stored volumes", () => {
  it("is one number for all axes, or three", () => {
    expect(spacingFrom("2")).toEqual([2, 2, 2]);
    expect(spacingFrom(" 1, 1.5 2 ")).toEqual([1, 1.5, 2]);
    expect(spacingFrom("1x1x3")).toEqual([1, 1, 3]);
  });

  it("is none where it cannot be read", () => {
    for (const text of ["", "1 2", "0", "-1", "a", "1 1 1 1"]) expect(spacingFrom(text)).toBeNull();
  });

  it("is taken over from a job", () => {
    const usual = { format: "nii.gz", dtype: "int16", intensity: "stored" };
    expect(outputOf({ grid: { spacing_mm: [1, 1, 2] } })).toEqual({ ...usual, grid: { spacing_mm: [1, 1, 2] } });
    expect(outputOf({ grid: null, crop: null })).toEqual(usual);
  });
});
