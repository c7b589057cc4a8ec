// What the values of a region are like.

export interface Statistics {
  /** Of voxels that have a number. */
  count: number;
  mean: number;
  /** Of the sample: over count - 1; NaN for a single voxel. */
  deviation: number;
  min: number;
  max: number;
  median: number;
}

type Numbers = Float32Array | Float64Array;

/** Changes the order of the values. NaN and infinite ones do not count; null where none is left. */
export function statisticsOf(values: Numbers): Statistics | null {
  const kept = finite(values);
  const count = kept.length;
  if (count === 0) return null;
  let [sum, min, max] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of kept) {
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const mean = sum / count;
  let squares = 0;
  for (const value of kept) squares += (value - mean) ** 2;
  return { count, mean, deviation: Math.sqrt(squares / (count - 1)), min, max, median: median(kept) };
}

/** In the file's units, from stored numbers. */
export function rescaled(of: Statistics, slope: number, intercept: number): Statistics {
  const told = (value: number): number => slope * value + intercept;
  const [a, b] = [told(of.min), told(of.max)];
  const { count, deviation } = of;
  return {
    count,
    mean: told(of.mean),
    deviation: Math.abs(slope) * deviation,
    min: Math.min(a, b),
    max: Math.max(a, b),
    median: told(of.median),
  };
}

function finite(values: Numbers): Numbers {
  let used = 0;
  for (const value of values) if (Number.isFinite(value)) values[used++] = value;
  return values.subarray(0, used);
}

/** Without sorting all of it: a whole volume has millions of values. */
function median(values: Numbers): number {
  const half = values.length >> 1;
  const upper = smallest(values, half);
  if (values.length % 2 === 1) return upper;
  let lower = Number.NEGATIVE_INFINITY;
  for (const value of values.subarray(0, half)) if (value > lower) lower = value;
  return (lower + upper) / 2;
}

/** The value that has `rank` others before it in order (Hoare's selection); smaller ones stand before it then. */
function smallest(values: Numbers, rank: number): number {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const pivot = values[(low + high) >> 1] ?? 0;
    let [left, right] = [low, high];
    while (left <= right) {
      while ((values[left] ?? 0) < pivot) left++;
      while ((values[right] ?? 0) > pivot) right--;
      if (left > right) break;
      [values[left], values[right]] = [values[right] ?? 0, values[left] ?? 0];
      left++;
      right--;
    }
    if (rank <= right) high = right;
    else if (rank >= left) low = left;
    else break;
  }
  return values[rank] ?? 0;
}
