import { expect, test } from "vitest";

import {
  isSameLattice,
  type Lattice,
  type Point,
  pointOf,
  sameAxis,
  toMm,
  toVoxel,
  voxelArea,
  voxelVolume,
} from "./lattice";
import { Measuring } from "./measuring";
import { cutOf } from "./outlines";
import { measured, type Voxels } from "./region";
import { type Region, type Shape, shapeOf, type Tool } from "./shapes";
import { rescaled, statisticsOf } from "./statistics";
import { asCsv, asText, brief, named, rowsOf } from "./telling";

/** Steps of unlike length, turned about z and then about x, and moved. */
function oblique(sides: Point, [dx, dy, dz]: Point, degrees: number): Lattice {
  const [c, s] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const affine = [
    [c * dx, -s * dy, 0, -31],
    [c * s * dx, c * c * dy, -s * dz, 17],
    [s * s * dx, s * c * dy, c * dz, 5],
  ];
  return { sides, affine };
}

const PLAIN = oblique([20, 24, 16], [1, 1, 1], 0);
const UNLIKE = oblique([20, 24, 16], [0.8, 1.5, 4], 0);
const TILTED = oblique([20, 24, 16], [0.8, 1.5, 4], 25);

/** Stored numbers tell their voxel: x + 100 y + 10000 z. */
function ramp(lattice: Lattice): Voxels {
  const [nx, ny, nz] = lattice.sides;
  const stored = new Int32Array(nx * ny * nz);
  for (let k = 0; k < stored.length; k++)
    stored[k] = (k % nx) + 100 * (Math.floor(k / nx) % ny) + 10_000 * Math.floor(k / (nx * ny));
  return { lattice, stored, start: 0, steps: [1, nx, nx * ny], slope: 1, intercept: 0 };
}

function region(kind: Tool, lattice: Lattice, from: Point, to: Point, depth = 1): Region {
  const shape = shapeOf(kind, lattice, from, to, { axis: 2, depth });
  if (!shape || shape.kind === "distance") throw new Error("no region");
  return shape;
}

function length(lattice: Lattice, from: Point, to: Point): number {
  const shape = shapeOf("distance", lattice, from, to, { axis: 2, depth: 1 });
  return shape?.kind === "distance" ? Math.hypot(...pointOf((k) => shape.toMm[k] - shape.fromMm[k])) : Number.NaN;
}

test("voxels become millimetres and come back, on an oblique grid of unlike steps", () => {
  const voxel = [3.25, 7, 11] as const;
  expect(toVoxel(TILTED, toMm(TILTED, voxel)).map((value) => Number(value.toFixed(9)))).toEqual(voxel);
  expect(voxelVolume(TILTED)).toBeCloseTo(0.8 * 1.5 * 4);
  expect(([0, 1, 2] as const).map((axis) => voxelArea(TILTED, axis).toFixed(6))).toEqual([
    "6.000000",
    "3.200000",
    "1.200000",
  ]);
  expect(isSameLattice(TILTED, UNLIKE)).toBe(false);
});

test("the slices of a grid whose axes are named otherwise are found by where they lie", () => {
  const turned = {
    sides: UNLIKE.sides,
    affine: UNLIKE.affine.map(([x, y, z, at]) => [z ?? 0, x ?? 0, y ?? 0, at ?? 0]),
  };
  expect(([0, 1, 2] as const).map((axis) => sameAxis(turned, UNLIKE, axis))).toEqual([1, 2, 0]);
});

test("a distance is in millimetres, whatever the steps and however the grid is turned", () => {
  for (const lattice of [UNLIKE, TILTED])
    expect(length(lattice, [0, 0, 0], [10, 4, 3])).toBeCloseTo(Math.hypot(8, 6, 12), 9);
  expect(shapeOf("distance", TILTED, [1, 1, 1], [1, 1, 1], { axis: 2, depth: 1 })).toBeNull();
});

test("a rectangle has both its end voxels, and its area is theirs", () => {
  const found = measured(region("rectangle", TILTED, [6.3, 9, 4], [2, 5.6, 4]), ramp(TILTED));
  expect(found.statistics).toMatchObject({ count: 5 * 4, min: 2 + 600 + 40_000, max: 6 + 900 + 40_000 });
  expect(found.statistics?.mean).toBeCloseTo(4 + 750 + 40_000);
  expect(found.statistics?.median).toBeCloseTo(4 + 750 + 40_000);
  expect(found.areaMm2).toBeCloseTo(20 * 1.2);
  expect(found.volumeMm3).toBeNull();
});

test("through several slices it has a volume, and is cut off where the image ends", () => {
  const box = region("rectangle", TILTED, [-3, 22, 1], [1, 99, 1], 5);
  expect(named(box)).toBe("Rectangle, axial slices 1 to 4");
  const found = measured(box, ramp(TILTED));
  expect(found.statistics?.count).toBe(2 * 2 * 4);
  expect(found.volumeMm3).toBeCloseTo(16 * 0.8 * 1.5 * 4);
});

test("an ellipse is as large as its axes say, and a sphere is round in millimetres", () => {
  const wide = oblique([200, 200, 60], [0.5, 0.25, 1.5], 30);
  const ellipse = measured(region("ellipse", wide, [20, 30, 9], [159, 189, 9]), ramp(wide));
  expect((ellipse.areaMm2 ?? 0) / (Math.PI * 35 * 20)).toBeCloseTo(1, 2);
  const sphere = region("sphere", wide, [100, 100, 30], [130, 100, 30]);
  expect(named(sphere)).toBe("Sphere, radius 15.0 mm");
  const ball = measured(sphere, ramp(wide));
  expect((ball.volumeMm3 ?? 0) / ((4 / 3) * Math.PI * 15 ** 3)).toBeCloseTo(1, 2);
  expect(ball.statistics?.mean).toBeCloseTo(100 + 10_000 + 300_000, -1);
});

test("a region is measured in another volume where it lies in millimetres", () => {
  const fine = oblique([40, 48, 32], [0.4, 0.75, 2], 25);
  const moved = { ...fine, affine: fine.affine.map((row) => [...row]) };
  const box = region("rectangle", TILTED, [4, 6, 3], [7, 9, 5]);
  const found = measured(box, ramp(moved));
  // Voxel k of the coarse grid is 2k and 2k + 1 of the fine one, but for the half step at the beginning.
  expect(found.volumeMm3).toBeCloseTo(4 * 4 * 3 * 0.8 * 1.5 * 4);
  const flat = measured(region("rectangle", TILTED, [4, 6, 3], [7, 9, 3]), ramp(moved));
  expect(flat.statistics?.min ?? 0).toBeGreaterThanOrEqual(60_000);
  expect((flat.statistics?.max ?? 0) - (flat.statistics?.min ?? 0), "one slice of it").toBeLessThan(10_000);
  expect(flat.areaMm2).toBeCloseTo(4 * 4 * 1.2);
});

test("where nothing of a volume lies in a region, nothing is told", () => {
  const far = { ...PLAIN, affine: PLAIN.affine.map((row) => [...row.slice(0, 3), 5000]) };
  const found = measured(region("sphere", PLAIN, [5, 5, 5], [9, 5, 5]), ramp(far));
  expect(found).toEqual({ statistics: null, areaMm2: null, volumeMm3: 0 });
});

test("voxels are found where the file keeps them, flipped and in another order, and told in its units", () => {
  const lattice = oblique([3, 4, 5], [1, 1, 1], 0);
  // Stored z fastest and x from the patient's other side.
  const steps = [-20, 5, 1] as const;
  const stored = new Float32Array(60);
  for (let x = 0; x < 3; x++)
    for (let y = 0; y < 4; y++) for (let z = 0; z < 5; z++) stored[40 - 20 * x + 5 * y + z] = x + 10 * y + 100 * z;
  stored[40 - 20 + 5 + 2] = Number.NaN;
  const voxels: Voxels = { lattice, stored, start: 40, steps, slope: -2, intercept: 1000 };
  const one = measured(region("rectangle", lattice, [2, 3, 4], [2, 3, 4]), voxels);
  expect(one.statistics).toMatchObject({ count: 1, mean: 1000 - 2 * 432, min: 1000 - 2 * 432 });
  expect(one.statistics?.deviation).toBeNaN();
  const slice = measured(region("rectangle", lattice, [0, 0, 2], [2, 3, 2]), voxels).statistics;
  expect(slice).toMatchObject({ count: 11, min: 1000 - 2 * 232, max: 1000 - 2 * 200 });
});

test("statistics are those of a table of the values, of odd and even numbers of them", () => {
  for (const count of [1, 2, 3, 10, 999, 1000]) {
    const values = Float64Array.from({ length: count }, (_, k) => ((k * 7919) % 101) + (k % 3));
    const sorted = [...values].sort((a, b) => a - b);
    const mean = sorted.reduce((sum, value) => sum + value, 0) / count;
    const half = sorted.length / 2;
    const middle = ((sorted[Math.ceil(half - 1)] ?? 0) + (sorted[Math.floor(half)] ?? 0)) / 2;
    const found = statisticsOf(Float64Array.from(values));
    expect(found).toMatchObject({ count, min: sorted[0], max: sorted.at(-1), median: middle });
    expect(found?.mean).toBeCloseTo(mean);
    const squares = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    if (count > 1) expect(found?.deviation).toBeCloseTo(Math.sqrt(squares / (count - 1)));
  }
  expect(statisticsOf(new Float32Array([Number.NaN, Number.POSITIVE_INFINITY]))).toBeNull();
  const twice = rescaled({ count: 2, mean: 2, deviation: 1, min: 1, max: 3, median: 2 }, -2, 10);
  expect(twice).toEqual({ count: 2, mean: 6, deviation: 2, min: 4, max: 8, median: 6 });
});

test("a shape is drawn in the slices that it meets, and in no other", () => {
  const cut = (shape: Shape | null, axis: 0 | 1 | 2, slice: number, lattice = TILTED) =>
    shape && cutOf(shape, lattice, axis, slice);
  const box = region("rectangle", TILTED, [4, 6, 3], [7, 9, 5]);
  expect([2, 3, 5, 6].map((slice) => cut(box, 2, slice) !== null)).toEqual([false, true, true, false]);
  expect([5, 6, 9, 10].map((slice) => cut(box, 1, slice) !== null)).toEqual([false, true, true, false]);
  expect(cut(box, 2, 4)?.points[2]?.map((value) => Number(value.toFixed(6)))).toEqual([7.5, 9.5, 4]);
  const across = cut(region("ellipse", TILTED, [4, 6, 3], [7, 9, 3]), 0, 4)?.points ?? [];
  expect(Math.max(...across.map(([, y]) => y)) - Math.min(...across.map(([, y]) => y))).toBeCloseTo(
    4 * Math.sqrt(0.4375),
  );
  const ball = region("sphere", TILTED, [10, 12, 8], [15, 12, 8]);
  expect([6, 7, 8, 9, 10].map((slice) => cut(ball, 2, slice) !== null)).toEqual([false, false, true, false, false]);
  for (const voxel of cut(ball, 1, 13)?.points ?? []) {
    const mm = toMm(TILTED, voxel);
    const centre = toMm(TILTED, [10, 12, 8]);
    expect(Math.hypot(...pointOf((k) => mm[k] - centre[k]))).toBeCloseTo(4);
    expect(voxel[1]).toBeCloseTo(13);
  }
  const line = shapeOf("distance", TILTED, [2, 2, 3], [8, 2, 6], { axis: 2, depth: 1 });
  expect([3, 4, 6].map((slice) => cut(line, 2, slice)?.isAside ?? null)).toEqual([true, null, true]);
  expect(cut(line, 1, 2)?.isAside).toBe(false);
});

test("what is marked twice is measured, in each volume that is there, and can be taken back", () => {
  const other = { ...ramp(PLAIN), slope: 0, intercept: 7 };
  const measuring = new Measuring(() => [ramp(PLAIN), other]);
  const mark = { pane: 0, lattice: PLAIN, axis: null, isDragged: false } as const;
  measuring.turn(true);
  measuring.choose("rectangle");
  measuring.begin({ ...mark, voxel: [3, 4, 5] });
  measuring.finish([5, 4, 9]);
  expect(measuring.measures.value[0]?.shape, "the slice that both lie in").toMatchObject({
    axis: 1,
    kind: "rectangle",
  });
  measuring.choose("distance");
  measuring.begin({ ...mark, voxel: [0, 0, 0] });
  measuring.finish([3, 4, 0]);
  measuring.begin({ ...mark, voxel: [1, 1, 1] });
  measuring.finish([1, 1, 1]);
  expect(measuring.measures.value.map(({ number }) => number)).toEqual([1, 2]);

  const volumes = [
    { title: 'Scan: "a,b".nii', unit: "HU" },
    { title: "Made", unit: "" },
  ];
  const rows = rowsOf(measuring.measures.value, measuring.found.value, volumes);
  expect(rows.map(({ shape, measured: of, unit }) => brief(shape, of, unit))).toEqual([
    "70,404 ± 14,639 HU",
    "7 ± 0",
    "5.00 mm",
  ]);
  expect(asText(rows).split("\n")[1]).toBe(
    "1  Rectangle, coronal slice 5, Made: mean 7, SD 0, min 7, max 7, median 7, 15 voxels, 15 mm²",
  );
  expect(asCsv(rows).split("\n")).toEqual([
    "number,shape,volume,unit,mean,sd,min,max,median,voxels,area_mm2,volume_mm3,length_mm,ras_mm",
    '1,"Rectangle, coronal slice 5","Scan: ""a,b"".nii",HU,70404,14638.5,50403,90405,70404,15,15,,,-27.00 21.00 12.00',
    '1,"Rectangle, coronal slice 5",Made,,7,0,7,7,7,15,15,,,-27.00 21.00 12.00',
    "2,Distance,,,,,,,,,,,5,-31.00 17.00 5.00 to -28.00 21.00 5.00",
  ]);
  measuring.takeBack();
  expect(measuring.measures.value.map(({ number }) => number)).toEqual([1]);
  measuring.clear();
  expect(measuring.measures.value).toEqual([]);
});
