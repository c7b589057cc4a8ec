// The planes as NiiVue has laid them on the canvas: from a place on it to a voxel, and back.
import type { NVImage, Niivue } from "@niivue/niivue";

import { type Axis, AXES, type Lattice, type Point, pointOf } from "./lattice";
import type { Voxels } from "./region";

/** NIfTI's code of colours in place of values. */
const RGB = 128;

/** One plane on the canvas, in CSS pixels. */
export interface Tile {
  /** The slices along this axis are shown. */
  axis: Axis;
  slice: number;
  left: number;
  top: number;
  width: number;
  height: number;
  /** The axis that goes across, and the one that goes up. */
  across: Axis;
  up: Axis;
  /** In voxels, at the left and the right edge, and at the upper and the lower. */
  fromLeft: number;
  toRight: number;
  fromTop: number;
  toBottom: number;
}

/** By NiiVue's SLICE_TYPE, axial, coronal, sagittal: the axis, and those across and up. */
const PLANES: readonly (readonly [Axis, Axis, Axis])[] = [
  [2, 0, 1],
  [1, 0, 2],
  [0, 1, 2],
];

export function tilesOf(nv: Niivue): Tile[] {
  const sides = nv.volumes[0]?.dimsRAS;
  if (!sides) return [];
  const slices = nv.frac2vox(nv.scene.crosshairPos);
  const dots = nv.uiData.dpr ?? 1;
  return nv.screenSlices.flatMap(({ axCorSag, leftTopWidthHeight, leftTopMM, fovMM }) => {
    const plane = PLANES[axCorSag];
    if (!plane) return [];
    const [axis, across, up] = plane;
    // NiiVue tells the lower left corner, and a width below zero where the patient's right is on the left.
    const corner = (x: number, y: number): number[] => {
      const mm = [0, 0, 0];
      mm[across] = (leftTopMM[0] ?? 0) + x * (fovMM[0] ?? 0);
      mm[up] = (leftTopMM[1] ?? 0) + y * (fovMM[1] ?? 0);
      return [...nv.mm2frac(mm)];
    };
    const voxel = (frac: number[], k: Axis): number => (frac[k] ?? 0) * (sides[k + 1] ?? 1) - 0.5;
    const [x = 0, y = 0, width = 0, height = 0] = leftTopWidthHeight.map((dot) => dot / dots);
    const [least, most] = [corner(0, 0), corner(1, 1)];
    const isMirrored = width < 0;
    const [left, right] = [voxel(least, across), voxel(most, across)];
    return {
      axis,
      across,
      up,
      slice: slices[axis] ?? 0,
      left: Math.min(x, x + width),
      top: y,
      width: Math.abs(width),
      height,
      fromLeft: isMirrored ? right : left,
      toRight: isMirrored ? left : right,
      fromTop: voxel(most, up),
      toBottom: voxel(least, up),
    };
  });
}

export function tileAt(tiles: readonly Tile[], x: number, y: number): Tile | null {
  const isIn = ({ left, top, width, height }: Tile): boolean =>
    x >= left && x <= left + width && y >= top && y <= top + height;
  return tiles.find(isIn) ?? null;
}

/** Of a place on the canvas, also of one beyond the tile's edge. */
export function voxelAt(tile: Tile, x: number, y: number): Point {
  const right = (x - tile.left) / tile.width;
  const down = (y - tile.top) / tile.height;
  return pointOf((k) => {
    if (k === tile.across) return tile.fromLeft + right * (tile.toRight - tile.fromLeft);
    return k === tile.up ? tile.fromTop + down * (tile.toBottom - tile.fromTop) : tile.slice;
  });
}

export function pixelOf(tile: Tile, voxel: Point): readonly [number, number] {
  const right = (voxel[tile.across] - tile.fromLeft) / (tile.toRight - tile.fromLeft);
  const down = (voxel[tile.up] - tile.fromTop) / (tile.toBottom - tile.fromTop);
  return [tile.left + right * tile.width, tile.top + down * tile.height];
}

/** NiiVue counts voxels along the axes that are nearest to the patient's. */
export function latticeOf({ dimsRAS, matRAS }: NVImage): Lattice | null {
  if (!dimsRAS || !matRAS) return null;
  return {
    sides: pointOf((k) => dimsRAS[k + 1] ?? 1),
    affine: AXES.map((row) => [0, 1, 2, 3].map((column) => matRAS[4 * row + column] ?? 0)),
  };
}

/** Null where the voxels are no plain numbers. */
export function voxelsOf(image: NVImage): Voxels | null {
  const { img, hdr, img2RASstart, img2RASstep } = image;
  const lattice = latticeOf(image);
  if (!img || !hdr || !lattice || !img2RASstart || !img2RASstep || hdr.datatypeCode === RGB) return null;
  return {
    lattice,
    stored: img,
    start: img2RASstart.reduce((sum, start) => sum + start, 0),
    steps: pointOf((k) => img2RASstep[k] ?? 0),
    slope: hdr.scl_slope || 1,
    intercept: hdr.scl_inter || 0,
  };
}
