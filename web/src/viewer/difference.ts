// The difference of two volumes on one grid.

export interface Line {
  slope: number;
  intercept: number;
}

export const SAME_UNITS: Line = { slope: 1, intercept: 0 };
const SAMPLES = 200_000;

interface Voxels {
  readonly length: number;
  readonly [index: number]: number;
}

/** The straight line that brings `from`'s values closest to `to`'s, from samples spread over the grid. */
export function matched(from: Voxels, to: Voxels): Line {
  const step = Math.max(1, Math.floor(from.length / SAMPLES));
  let n = 0,
    sx = 0,
    sy = 0,
    sxx = 0,
    sxy = 0;
  for (let k = 0; k < from.length; k += step) {
    const x = from[k] ?? 0;
    const y = to[k] ?? 0;
    n += 1;
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  const spread = n * sxx - sx * sx;
  if (spread <= 0) return { slope: 1, intercept: (sy - sx) / Math.max(1, n) };
  const slope = (n * sxy - sx * sy) / spread;
  return { slope, intercept: (sy - slope * sx) / n };
}

/** second - first, where `line` brings the first's stored values to the second's. Clipped to what int16 holds. */
export function difference(first: Voxels, second: Voxels, line: Line = SAME_UNITS): Int16Array {
  const apart = new Int16Array(first.length);
  for (let k = 0; k < apart.length; k++) {
    const value = (second[k] ?? 0) - (line.slope * (first[k] ?? 0) + line.intercept);
    apart[k] = Math.max(-32768, Math.min(32767, Math.round(value)));
  }
  return apart;
}

/** The size that all but a few differences stay under: where the colours end. */
export function reach(apart: Int16Array, share = 0.995): number {
  const step = Math.max(1, Math.floor(apart.length / SAMPLES));
  const sizes: number[] = [];
  for (let k = 0; k < apart.length; k += step) {
    const size = Math.abs(apart[k] ?? 0);
    if (size > 0) sizes.push(size);
  }
  if (sizes.length === 0) return 1;
  sizes.sort((a, b) => a - b);
  return Math.max(1, sizes[Math.min(sizes.length - 1, Math.floor(share * sizes.length))] ?? 1);
}
