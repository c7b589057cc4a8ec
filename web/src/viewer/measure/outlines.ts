// Where the slices of a volume cut a shape: its outline, in voxels of that volume.
import {
  type Axis,
  AXES,
  cross,
  dot,
  type Lattice,
  length,
  plus,
  type Point,
  pointOf,
  sameAxis,
  scaled,
  stepOf,
  toMm,
  toVoxel,
} from "./lattice";
import { type Distance, flatOf, middleOf, type Patch, type Shape, sliceOf, type Sphere } from "./shapes";

export interface Cut {
  points: Point[];
  /** Whether the last point is joined to the first. */
  isClosed: boolean;
  /** Whether it leaves the slice: what is drawn is then its shadow. */
  isAside: boolean;
}

const CORNERS = 48;

/** Null where the slice does not meet the shape. */
export function cutOf(shape: Shape, lattice: Lattice, axis: Axis, slice: number): Cut | null {
  if (shape.kind === "distance") return cutLine(shape, lattice, axis, slice);
  if (shape.kind === "sphere") return cutSphere(shape, lattice, axis, slice);
  const own = sameAxis(shape.lattice, lattice, axis);
  return own === shape.axis ? cutAlong(shape, lattice, axis, slice) : cutAcross(shape, lattice, axis, slice, own);
}

function closed(points: Point[]): Cut {
  return { points, isClosed: true, isAside: false };
}

function cutLine({ fromMm, toMm: untilMm }: Distance, lattice: Lattice, axis: Axis, slice: number): Cut | null {
  const points = [fromMm, untilMm].map((mm) => toVoxel(lattice, mm));
  const inside = points.filter((point) => Math.abs(point[axis] - slice) <= 0.5 + 1e-3);
  return inside.length > 0 ? { points, isClosed: false, isAside: inside.length < 2 } : null;
}

function cutSphere({ centreMm, radiusMm }: Sphere, lattice: Lattice, axis: Axis, slice: number): Cut | null {
  const [a, b] = AXES.filter((k) => k !== axis).map((k) => stepOf(lattice, k));
  if (!a || !b) return null;
  const right = scaled(a, 1 / length(a));
  const normal = scaled(cross(a, b), 1 / length(cross(a, b)));
  const up = cross(normal, right);
  const there = toMm(
    lattice,
    pointOf((k) => (k === axis ? slice : 0)),
  );
  const away = dot(normal, there) - dot(normal, centreMm);
  if (Math.abs(away) >= radiusMm) return null;
  const middle = plus(centreMm, scaled(normal, away));
  const radius = Math.sqrt(radiusMm ** 2 - away ** 2);
  return closed(
    turns().map(([x, y]) => toVoxel(lattice, plus(middle, plus(scaled(right, radius * x), scaled(up, radius * y))))),
  );
}

/** In a slice as the patch was drawn on. */
function cutAlong(patch: Patch, lattice: Lattice, axis: Axis, slice: number): Cut | null {
  const there = pointOf((k) => (k === axis ? slice : toVoxel(lattice, middleOf(patch))[k]));
  const at = toVoxel(patch.lattice, toMm(lattice, there))[patch.axis];
  const isMet = flatOf(patch)
    ? sliceOf(patch, lattice).slice === slice
    : at >= patch.low[patch.axis] - 0.5 && at < patch.high[patch.axis] + 0.5;
  if (!isMet) return null;
  const [u, v] = AXES.filter((k) => k !== patch.axis);
  const around = patch.kind === "ellipse" ? turns() : SQUARE;
  return closed(around.map(([x, y]) => place(patch, lattice, (k) => (k === u ? x : k === v ? y : null), at)));
}

/** In a slice that stands on the one it was drawn on: a rectangle, as wide as the patch is there. */
function cutAcross(patch: Patch, lattice: Lattice, axis: Axis, slice: number, own: Axis): Cut | null {
  const there = pointOf((k) => (k === axis ? slice : toVoxel(lattice, middleOf(patch))[k]));
  const at = toVoxel(patch.lattice, toMm(lattice, there))[own];
  const [low, high] = [patch.low[own] - 0.5, patch.high[own] + 0.5];
  if (at < low || at >= high) return null;
  const share = (2 * at - low - high) / (high - low);
  const width = patch.kind === "ellipse" ? Math.sqrt(Math.max(0, 1 - share ** 2)) : 1;
  return closed(
    SQUARE.map(([x, y]) => place(patch, lattice, (k) => (k === own ? share : k === patch.axis ? y : x * width), null)),
  );
}

const SQUARE: readonly (readonly [number, number])[] = [
  [-1, -1],
  [1, -1],
  [1, 1],
  [-1, 1],
];

function turns(): (readonly [number, number])[] {
  return Array.from({ length: CORNERS }, (_, k) => {
    const angle = (2 * Math.PI * k) / CORNERS;
    return [Math.cos(angle), Math.sin(angle)] as const;
  });
}

/** A place of a patch, told from -1 to 1 along each axis, or by the slice; in voxels of a lattice. */
function place(patch: Patch, lattice: Lattice, share: (k: Axis) => number | null, slice: number | null): Point {
  const voxel = pointOf((k) => {
    const [middle, half] = [(patch.low[k] + patch.high[k]) / 2, (patch.high[k] - patch.low[k] + 1) / 2];
    return middle + half * (share(k) ?? 0);
  });
  const own = pointOf((k) => (k === patch.axis && slice !== null ? slice : voxel[k]));
  return toVoxel(lattice, toMm(patch.lattice, own));
}
