// Where a volume's voxels lie: the one place where voxels become millimetres, and millimetres voxels.

/** Along x, y, z: of voxels, counted from the middle of the first one; or of RAS+ millimetres. */
export type Point = readonly [number, number, number];

export interface Lattice {
  /** How many voxels there are along each axis. */
  sides: Point;
  /** From voxels to RAS+ mm, three rows of four: steps may be of any length and in any direction. */
  affine: readonly (readonly number[])[];
}

export const AXES = [0, 1, 2] as const;
export type Axis = (typeof AXES)[number];

export function pointOf(of: (axis: Axis) => number): Point {
  return [of(0), of(1), of(2)];
}

export function toMm({ affine }: Lattice, voxel: Point): Point {
  return pointOf((row) => (affine[row]?.[3] ?? 0) + dot(rowOf(affine, row), voxel));
}

/** Not rounded: 0 is the middle of the first voxel. */
export function toVoxel({ affine }: Lattice, mm: Point): Point {
  const apart = pointOf((axis) => mm[axis] - (affine[axis]?.[3] ?? 0));
  const [a, b, c] = stepsOf(affine);
  const det = dot(a, cross(b, c));
  return [dot(cross(b, c), apart) / det, dot(cross(c, a), apart) / det, dot(cross(a, b), apart) / det];
}

/** One voxel farther along an axis, in mm. */
export function stepOf({ affine }: Lattice, axis: Axis): Point {
  return pointOf((row) => affine[row]?.[axis] ?? 0);
}

/** mm3. */
export function voxelVolume({ affine }: Lattice): number {
  const [a, b, c] = stepsOf(affine);
  return Math.abs(dot(a, cross(b, c)));
}

/** mm2 of one voxel in the slices along an axis. */
export function voxelArea(lattice: Lattice, axis: Axis): number {
  const [b, c] = AXES.filter((other) => other !== axis).map((other) => stepOf(lattice, other));
  return b && c ? length(cross(b, c)) : 0;
}

/** The axis of a lattice whose slices lie most nearly as the other's along `axis` do. */
export function sameAxis(lattice: Lattice, other: Lattice, axis: Axis): Axis {
  const across = (of: Lattice, k: Axis): Point => {
    const [b, c] = AXES.filter((left) => left !== k).map((left) => stepOf(of, left));
    const normal = b && c ? cross(b, c) : stepOf(of, k);
    return scaled(normal, 1 / (length(normal) || 1));
  };
  const wanted = across(other, axis);
  const likeness = AXES.map((k) => Math.abs(dot(across(lattice, k), wanted)));
  return AXES.reduce((best, k) => ((likeness[k] ?? 0) > (likeness[best] ?? 0) ? k : best), axis);
}

export function isSameLattice(a: Lattice, b: Lattice): boolean {
  const isNear = (row: readonly number[], k: number): boolean =>
    row.every((value, column) => Math.abs(value - (b.affine[k]?.[column] ?? Number.NaN)) < 1e-4);
  return AXES.every((axis) => a.sides[axis] === b.sides[axis]) && a.affine.every(isNear);
}

export function distance(a: Point, b: Point): number {
  return length(pointOf((axis) => a[axis] - b[axis]));
}

export function length(a: Point): number {
  return Math.hypot(...a);
}

export function dot(a: Point, b: Point): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

export function cross(a: Point, b: Point): Point {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function scaled(a: Point, by: number): Point {
  return pointOf((axis) => a[axis] * by);
}

export function plus(a: Point, b: Point): Point {
  return pointOf((axis) => a[axis] + b[axis]);
}

function rowOf(affine: Lattice["affine"], row: number): Point {
  return pointOf((column) => affine[row]?.[column] ?? 0);
}

function stepsOf(affine: Lattice["affine"]): [Point, Point, Point] {
  const of = (axis: Axis): Point => pointOf((row) => affine[row]?.[axis] ?? 0);
  return [of(0), of(1), of(2)];
}
