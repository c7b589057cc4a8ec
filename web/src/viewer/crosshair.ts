// The cursor's lines are as wide on screen for a mouse's brain as for a thorax: NiiVue knows millimetres, and not pixels.
import type { Niivue } from "@niivue/niivue";

const WIDTH_PX = 1.5;
const GAP_PX = 14;
/** Smaller changes of the width are not seen. */
const ENOUGH = 0.05;

/** Fits the lines to the planes as they were drawn last. Returns whether there is something to draw anew. */
export function fitCrosshair(nv: Niivue): boolean {
  const perPixel = nv.screenSlices
    .map(({ fovMM, leftTopWidthHeight }) => Math.abs((fovMM[0] ?? 0) / (leftTopWidthHeight[2] ?? 1)))
    .filter((mm) => Number.isFinite(mm) && mm > 0);
  if (perPixel.length === 0) return false;
  const mm = Math.max(...perPixel) * (nv.uiData.dpr ?? 1);
  const width = WIDTH_PX * mm;
  if (Math.abs(width / nv.opts.crosshairWidth - 1) < ENOUGH) return false;
  nv.opts.crosshairWidth = width;
  nv.opts.crosshairGap = GAP_PX * mm;
  if (nv.crosshairs3D?.mm) nv.crosshairs3D.mm[0] = Number.NaN; // made anew with the next drawing
  return true;
}
