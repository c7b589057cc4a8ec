// What is measured: a distance, or a region; where it lies does not depend on the volume that is looked at.
import { type Axis, AXES, distance, type Lattice, type Point, pointOf, sameAxis, toMm, toVoxel } from "./lattice";

export type Tool = "distance" | "rectangle" | "ellipse" | "sphere";

export interface Distance {
  kind: "distance";
  fromMm: Point;
  toMm: Point;
}

/** Whole voxels of the lattice it was drawn on, through one slice or several. */
export interface Patch {
  kind: "rectangle" | "ellipse";
  lattice: Lattice;
  /** The slices are those along this axis. */
  axis: Axis;
  /** The first and the last voxel along each axis. */
  low: Point;
  high: Point;
}

export interface Sphere {
  kind: "sphere";
  centreMm: Point;
  radiusMm: number;
}

export type Region = Patch | Sphere;
export type Shape = Distance | Region;

/** From what was drawn: two places in voxels of a lattice. `axis`: of the slices that are drawn on; `depth`: of how many of
 * them. Null where nothing lies between the two. */
export function shapeOf(
  kind: Tool,
  lattice: Lattice,
  from: Point,
  to: Point,
  { axis, depth }: { axis: Axis; depth: number },
): Shape | null {
  const [a, b] = [toMm(lattice, from), toMm(lattice, to)];
  if (kind === "distance") return distance(a, b) > 0 ? { kind, fromMm: a, toMm: b } : null;
  if (kind === "sphere") return distance(a, b) > 0 ? { kind, centreMm: a, radiusMm: distance(a, b) } : null;
  const within = (voxel: number, k: Axis): number => Math.min(lattice.sides[k] - 1, Math.max(0, Math.round(voxel)));
  const ends = AXES.map((k) => [within(from[k], k), within(to[k], k)].sort((p, q) => p - q) as [number, number]);
  const [first = 0, last = 0] = ends[axis] ?? [];
  if (first === last) {
    const low = first - Math.floor((depth - 1) / 2);
    ends[axis] = [within(low, axis), within(low + depth - 1, axis)];
  }
  return { kind, lattice, axis, low: pointOf((k) => ends[k]?.[0] ?? 0), high: pointOf((k) => ends[k]?.[1] ?? 0) };
}

/** A region that is of one slice, and has an area; null for any other. */
export function flatOf(region: Region): Patch | null {
  return region.kind !== "sphere" && region.low[region.axis] === region.high[region.axis] ? region : null;
}

/** The middle of a region, in mm. */
export function middleOf(region: Region): Point {
  if (region.kind === "sphere") return region.centreMm;
  return toMm(
    region.lattice,
    pointOf((k) => (region.low[k] + region.high[k]) / 2),
  );
}

/** Of another volume: the axis of its slices, and the slice in which the middle of a flat region lies. */
export function sliceOf(patch: Patch, lattice: Lattice): { axis: Axis; slice: number } {
  const axis = sameAxis(lattice, patch.lattice, patch.axis);
  return { axis, slice: Math.round(toVoxel(lattice, middleOf(patch))[axis]) };
}

const NEAR = 1e-6;

/** Whether the middle of a voxel lies in it, told in voxels of the patch's own lattice; `isAny`: in whichever slice. */
export function isInPatch({ kind, axis, low, high }: Patch, voxel: Point, isAny: boolean): boolean {
  let square = 0;
  for (const k of AXES) {
    if (k === axis && isAny) continue;
    if (voxel[k] < low[k] - 0.5 - NEAR || voxel[k] >= high[k] + 0.5 - NEAR) return false;
    if (k !== axis) square += ((voxel[k] - (low[k] + high[k]) / 2) / ((high[k] - low[k] + 1) / 2)) ** 2;
  }
  return kind === "rectangle" || square <= 1 + NEAR;
}

/** Corners of a box around a region, in mm. */
export function cornersOf(region: Region): Point[] {
  const signs = AXES.map(() => [-1, 1]);
  const all = (signs[0] ?? []).flatMap((x) =>
    (signs[1] ?? []).flatMap((y) => (signs[2] ?? []).map((z) => [x, y, z] as const)),
  );
  return all.map((sign) => {
    if (region.kind === "sphere") return pointOf((k) => region.centreMm[k] + sign[k] * region.radiusMm);
    const { low, high } = region;
    return toMm(
      region.lattice,
      pointOf((k) => (sign[k] < 0 ? low[k] - 0.5 : high[k] + 0.5)),
    );
  });
}
