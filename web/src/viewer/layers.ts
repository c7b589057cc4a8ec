// What can lie over a volume: how another one differs, the other one itself, or the edges of it.

export type LayerKind = "difference" | "overlay" | "edges";

interface Voxels {
  readonly length: number;
  readonly [index: number]: number;
}

type Sides = readonly [number, number, number];

/**
 * The length of the gradient at each voxel (X, Y, Z; x fastest), by central differences per millimetre, from 0 to 255: the
 * strongest 0.5% of all that are not flat is 255. A picture of where a scan has edges, not what the networks are given.
 */
export function gradientLength(values: Voxels, sides: Sides, spacingMm: Sides): Uint8Array {
  const [nx, ny, nz] = sides;
  const strides = [1, nx, nx * ny] as const;
  const lengths = new Float32Array(values.length);
  let k = 0;
  for (let z = 0; z < nz; z++)
    for (let y = 0; y < ny; y++)
      for (let x = 0; x < nx; x++, k++) {
        let sum = 0;
        for (const [axis, at] of [x, y, z].entries()) {
          const stride = strides[axis] ?? 1;
          const before = values[at > 0 ? k - stride : k] ?? 0;
          const after = values[at < (sides[axis] ?? 1) - 1 ? k + stride : k] ?? 0;
          sum += ((after - before) / (spacingMm[axis] ?? 1)) ** 2;
        }
        lengths[k] = Math.sqrt(sum);
      }
  const limit = strongest(lengths);
  return Uint8Array.from(lengths, (length) => Math.min(255, (255 * length) / limit));
}

const SAMPLES = 200_000;

function strongest(lengths: Float32Array): number {
  const step = Math.max(1, Math.floor(lengths.length / SAMPLES));
  const there: number[] = [];
  for (let k = 0; k < lengths.length; k += step) if ((lengths[k] ?? 0) > 0) there.push(lengths[k] ?? 0);
  there.sort((a, b) => a - b);
  return there[Math.floor(0.995 * (there.length - 1))] ?? 1;
}
