// What an image's header says: its grid, and whether it has a window of its own.
import type { NVImage } from "@niivue/niivue";

import type { VolumeFile } from "./nifti";

export function tellsWindow({ hdr }: NVImage): boolean {
  return hdr !== null && hdr.cal_max > hdr.cal_min;
}

export function sidesOf(image: NVImage): number[] {
  return image.hdr?.dims.slice(1, 4) ?? [];
}

export function affineOf(image: NVImage): number[][] {
  return image.hdr?.affine ?? [];
}

export function isSameGrid(a: NVImage, b: NVImage): boolean {
  const [sidesA, sidesB] = [sidesOf(a), sidesOf(b)];
  const [affineA, affineB] = [affineOf(a).flat(), affineOf(b).flat()];
  return (
    sidesA.every((side, k) => side === sidesB[k]) &&
    affineA.every((value, k) => Math.abs(value - (affineB[k] ?? NaN)) < 0.01)
  );
}

/** Whether a file lies on the volume's grid, by the sform rows of its header. */
export function hasHeader(file: VolumeFile, volume: NVImage): boolean {
  const view = new DataView(file.bytes);
  const affine = affineOf(volume);
  const sides = sidesOf(volume);
  for (let row = 0; row < 3; row++) {
    if (view.getInt16(42 + 2 * row, true) !== sides[row]) return false;
    for (let column = 0; column < 4; column++) {
      if (Math.abs(view.getFloat32(280 + 16 * row + 4 * column, true) - (affine[row]?.[column] ?? NaN)) > 0.01)
        return false;
    }
  }
  return true;
}
