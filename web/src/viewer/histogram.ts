// How often each value is there. Counted piece by piece with rests between, so that the page answers meanwhile; no copy is made.

export interface Voxels {
  readonly length: number;
  readonly [index: number]: number;
}

/** From stored numbers to the volume's units. */
export interface Scaling {
  slope: number;
  intercept: number;
}

export interface Histogram {
  /** The least and the largest value, in the volume's units. */
  min: number;
  max: number;
  /** Of equally wide bins from min to max. */
  counts: Uint32Array;
}

/** Fine enough for percentiles, also where a few outliers stretch the range. */
const BINS = 4096;
/** A few milliseconds of counting. */
const PIECE = 1 << 19;

/** `rest` is waited for between the pieces, and ends the counting by throwing. */
export async function histogramOf(
  voxels: Voxels,
  { slope, intercept }: Scaling,
  rest: () => Promise<void>,
): Promise<Histogram> {
  let [least, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let from = 0; from < voxels.length; from += PIECE) {
    await rest();
    [least, largest] = widened(voxels, from, least, largest);
  }
  const counts = new Uint32Array(BINS);
  const perBin = (largest - least) / BINS || 1;
  for (let from = 0; from < voxels.length; from += PIECE) {
    await rest();
    countPiece(voxels, from, least, perBin, counts);
  }
  const values = [slope * least + intercept, slope * largest + intercept] as const;
  if (slope < 0) counts.reverse();
  return { min: Math.min(...values), max: Math.max(...values), counts };
}

function widened(voxels: Voxels, from: number, least: number, largest: number): [number, number] {
  const until = Math.min(voxels.length, from + PIECE);
  for (let k = from; k < until; k++) {
    const value = voxels[k] ?? 0;
    if (value < least && value > Number.NEGATIVE_INFINITY) least = value;
    if (value > largest && value < Number.POSITIVE_INFINITY) largest = value;
  }
  return [least, largest];
}

function countPiece(voxels: Voxels, from: number, least: number, perBin: number, counts: Uint32Array): void {
  const until = Math.min(voxels.length, from + PIECE);
  const last = counts.length - 1;
  for (let k = from; k < until; k++) {
    const bin = Math.floor(((voxels[k] ?? 0) - least) / perBin);
    if (bin >= 0 && Number.isFinite(bin)) counts[Math.min(last, bin)] = (counts[Math.min(last, bin)] ?? 0) + 1;
  }
}

/** The values below which these shares of the voxels lie, the background apart: the bin of the least value is not counted. */
export function percentiles(
  { min, max, counts }: Histogram,
  lower: number,
  upper: number,
): { low: number; high: number } {
  const total = counts.reduce((sum, count) => sum + count, 0) - (counts[0] ?? 0);
  const perBin = (max - min) / counts.length;
  const at = (share: number): number => {
    let left = share * total;
    for (let bin = 1; bin < counts.length; bin++) {
      const count = counts[bin] ?? 0;
      if (left <= count && count > 0) return min + (bin + left / count) * perBin;
      left -= count;
    }
    return max;
  };
  return total > 0 ? { low: at(lower), high: at(upper) } : { low: min, high: max };
}

/** Heights from 0 to 1 of wider bars, on a logarithmic scale: a background does not flatten the rest. */
export function bars({ counts }: Histogram, columns: number): number[] {
  const wide = new Array<number>(columns).fill(0);
  counts.forEach((count, bin) => {
    const column = Math.floor((bin * columns) / counts.length);
    wide[column] = (wide[column] ?? 0) + count;
  });
  const tallest = Math.log1p(Math.max(...wide)) || 1;
  return wide.map((count) => Math.log1p(count) / tallest);
}
