// Moving about in a volume: to a slice, nearer, and to the side.
import type { Niivue } from "@niivue/niivue";

export type Triple = readonly [number, number, number];

/** The planes by the patient's axis that they cut: x from right to left, y from back to front, z from bottom to top. */
export type Axis = 0 | 1 | 2;

/** Which slice of each axis the cursor is in, from 0, of how many. */
export interface Slices {
  at: Triple;
  of: Triple;
}

/** How many times the planes are enlarged (last), and how far they were moved then, in mm: what lies at x is seen at zoom * x + pan. */
export type View = readonly [number, number, number, number];

export const WHOLE: View = [0, 0, 0, 1];
const NEAREST = 16;
const FARTHEST = 0.5;

export function slicesOf(nv: Niivue): Slices | null {
  const sides = nv.volumes[0]?.dimsRAS;
  if (!sides) return null;
  const [x = 0, y = 0, z = 0] = nv.frac2vox(nv.scene.crosshairPos);
  return { at: [x, y, z], of: [sides[1] ?? 1, sides[2] ?? 1, sides[3] ?? 1] };
}

/** The nearest there is. */
export function goToVoxel(nv: Niivue, voxel: Triple): void {
  const slices = slicesOf(nv);
  if (!slices) return;
  const by = (k: Axis): number => Math.min(slices.of[k] - 1, Math.max(0, Math.round(voxel[k]))) - slices.at[k];
  nv.moveCrosshairInVox(by(0), by(1), by(2));
}

/** Where the cursor is, in voxels, not rounded. */
export function spotOf(nv: Niivue): Triple {
  const sides = nv.volumes[0]?.dimsRAS ?? [];
  const of = (k: Axis): number => (nv.scene.crosshairPos[k] ?? 0) * (sides[k + 1] ?? 1) - 0.5;
  return [of(0), of(1), of(2)];
}

/** The view that many times nearer, in which the cursor stays where it is on screen. */
export function zoomed([x, y, z, zoom]: View, times: number, cursorMm: Triple): View {
  const next = Math.min(NEAREST, Math.max(FARTHEST, zoom * times));
  const apart = zoom - next;
  return [x + apart * cursorMm[0], y + apart * cursorMm[1], z + apart * cursorMm[2], next];
}

/** The view moved along the patient's axes, as far on screen however near one is. */
export function panned([x, y, z, zoom]: View, [right, front, top]: Triple, mm: number): View {
  return [x + right * mm, y + front * mm, z + top * mm, zoom];
}
