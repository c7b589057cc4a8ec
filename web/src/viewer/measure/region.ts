// The voxels of a volume whose middles lie in a region: their values, and how large they are together.
import {
  type Axis,
  AXES,
  distance,
  isSameLattice,
  type Lattice,
  type Point,
  pointOf,
  toMm,
  toVoxel,
  voxelArea,
  voxelVolume,
} from "./lattice";
import { cornersOf, flatOf, isInPatch, type Region, sliceOf } from "./shapes";
import { rescaled, type Statistics, statisticsOf } from "./statistics";

interface Stored {
  readonly length: number;
  readonly [index: number]: number;
}

/** A volume as it is held: the voxel at x, y, z is number start + x steps[0] + y steps[1] + z steps[2] of the stored ones. */
export interface Voxels {
  lattice: Lattice;
  stored: Stored;
  start: number;
  steps: Point;
  slope: number;
  intercept: number;
}

export interface Measured {
  /** Null where no voxel has its middle in the region. */
  statistics: Statistics | null;
  /** Of a region of one slice. */
  areaMm2: number | null;
  /** Of any other. */
  volumeMm3: number | null;
}

/** From all voxels, never from what the window shows of them. */
export function measured(region: Region, voxels: Voxels): Measured {
  const { lattice, stored, slope, intercept } = voxels;
  const box = boxOf(region, lattice);
  const room = AXES.reduce<number>((count, k) => count * Math.max(0, box.high[k] - box.low[k] + 1), 1);
  const values = isWide(stored) ? new Float64Array(room) : new Float32Array(room);
  const isInside = insideOf(region, lattice);
  let used = 0;
  for (let z = box.low[2]; z <= box.high[2]; z++)
    for (let y = box.low[1]; y <= box.high[1]; y++)
      for (let x = box.low[0]; x <= box.high[0]; x++) {
        if (!isInside([x, y, z])) continue;
        const [dx, dy, dz] = voxels.steps;
        values[used++] = stored[voxels.start + x * dx + y * dy + z * dz] ?? Number.NaN;
      }
  const found = statisticsOf(values.subarray(0, used));
  return { statistics: found && rescaled(found, slope, intercept), ...sizeOf(region, lattice, used) };
}

/** Whether single precision does not hold each stored number. */
function isWide(stored: Stored): boolean {
  return stored instanceof Float64Array || stored instanceof Int32Array || stored instanceof Uint32Array;
}

function sizeOf(region: Region, lattice: Lattice, count: number): Pick<Measured, "areaMm2" | "volumeMm3"> {
  const flat = flatOf(region);
  if (!flat) return { areaMm2: null, volumeMm3: count * voxelVolume(lattice) };
  return { areaMm2: count * voxelArea(lattice, sliceOf(flat, lattice).axis), volumeMm3: null };
}

/** Headers keep single precision. */
const ROUNDING_MM = 1e-4;

/** Whether a voxel of a lattice has its middle in the region. Of another lattice a flat region is one slice too: the nearest. */
function insideOf(region: Region, lattice: Lattice): (voxel: Point) => boolean {
  if (region.kind === "sphere")
    return (voxel) => distance(toMm(lattice, voxel), region.centreMm) <= region.radiusMm + ROUNDING_MM;
  if (isSameLattice(region.lattice, lattice))
    return region.kind === "rectangle" ? () => true : (voxel) => isInPatch(region, voxel, false);
  const isAny = flatOf(region) !== null;
  return (voxel) => isInPatch(region, toVoxel(region.lattice, toMm(lattice, voxel)), isAny);
}

/** The voxels of a lattice that are looked at one by one. */
function boxOf(region: Region, lattice: Lattice): { low: Point; high: Point } {
  const isOwn = region.kind !== "sphere" && isSameLattice(region.lattice, lattice);
  if (isOwn) return region;
  const last = pointOf((k) => lattice.sides[k] - 1);
  const patch = flatOf(region);
  if (patch) {
    const { axis, slice } = sliceOf(patch, lattice);
    return {
      low: pointOf((k) => (k === axis ? Math.max(0, slice) : 0)),
      high: pointOf((k) => (k === axis ? Math.min(last[k], slice) : last[k])),
    };
  }
  const corners = cornersOf(region).map((mm) => toVoxel(lattice, mm));
  const along = (k: Axis): number[] => corners.map((corner) => corner[k]);
  return {
    low: pointOf((k) => Math.max(0, Math.floor(Math.min(...along(k))))),
    high: pointOf((k) => Math.min(last[k], Math.ceil(Math.max(...along(k))))),
  };
}
