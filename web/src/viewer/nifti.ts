// NIfTI-1 by its published layout: what the page needs of it.
export interface VolumeFile {
  /** With the ending by which NiiVue knows the format; a .nii.gz that was decompressed here is a .nii. */
  name: string;
  bytes: ArrayBuffer;
}

const HEADER_BYTES = 348;
const INT16 = 4;
const FLOAT32 = 16;
const ARRAYS = { 2: Uint8Array, [INT16]: Int16Array, [FLOAT32]: Float32Array } as const;

export interface NiftiFacts {
  shape: [number, number, number];
  type: number;
  bitpix: number;
  offset: number;
  isLittle: boolean;
}

export function niftiFacts(head: Uint8Array): NiftiFacts | null {
  if (head.byteLength < HEADER_BYTES) return null;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const isLittle = view.getInt32(0, true) === HEADER_BYTES;
  if (!isLittle && view.getInt32(0, false) !== HEADER_BYTES) return null;
  const side = (axis: number): number => Math.max(1, view.getInt16(40 + 2 * axis, isLittle));
  return {
    shape: [side(1), side(2), side(3)],
    type: view.getInt16(70, isLittle),
    bitpix: view.getInt16(72, isLittle),
    offset: Math.max(HEADER_BYTES, view.getFloat32(108, isLittle)),
    isLittle,
  };
}

export function niftiLength(head: Uint8Array): number | null {
  const facts = niftiFacts(head);
  if (!facts) return null;
  const length = facts.offset + (facts.shape.reduce((a, b) => a * b, 1) * facts.bitpix) / 8;
  return length > 0 && length < 2 ** 31 ? length : null;
}

/** A file that does not say where it lies, put where the service puts it, as nibabel and FSL do: x from right to left, its
 * middle at the origin. NiiVue would have left and right exchanged. Others stay as they are. */
export function placeUnsaid({ bytes }: VolumeFile): void {
  const facts = niftiFacts(new Uint8Array(bytes));
  const view = new DataView(bytes);
  if (!facts || view.getInt16(252, facts.isLittle) > 0 || view.getInt16(254, facts.isLittle) > 0) return;
  facts.shape.forEach((side, axis) => {
    const step = (axis === 0 ? -1 : 1) * (Math.abs(view.getFloat32(80 + 4 * axis, facts.isLittle)) || 1);
    const row = [0, 0, 0, (-step * (side - 1)) / 2];
    row[axis] = step;
    row.forEach((value, column) => {
      view.setFloat32(280 + 16 * axis + 4 * column, value, facts.isLittle);
    });
  });
  view.setInt16(254, 1, facts.isLittle);
}

/** How a file's values are to be read and shown: slope, intercept, and the ends of its window; empty for no NIfTI file. */
export function scalingOf({ bytes }: VolumeFile): number[] {
  const facts = niftiFacts(new Uint8Array(bytes));
  const view = new DataView(bytes);
  return facts ? [112, 116, 128, 124].map((at) => view.getFloat32(at, facts.isLittle)) : [];
}

/** The voxels of a plain NIfTI file in place, without a copy; null where they are of a rarer kind. */
export function voxelsOf(file: VolumeFile): Uint8Array | Int16Array | Float32Array | null {
  const facts = niftiFacts(new Uint8Array(file.bytes));
  if (!facts?.isLittle || !(facts.type in ARRAYS)) return null;
  const kind = ARRAYS[facts.type as keyof typeof ARRAYS];
  const count = facts.shape.reduce((a, b) => a * b, 1);
  const isWhole =
    facts.offset % kind.BYTES_PER_ELEMENT === 0 &&
    facts.offset + count * kind.BYTES_PER_ELEMENT <= file.bytes.byteLength;
  return isWhole ? new kind(file.bytes, facts.offset, count) : null;
}

/** A NIfTI-1 file with a header of our own; `affine` maps voxels to RAS millimetres, row by row. */
export function niftiOf(
  shape: readonly number[],
  affine: readonly (readonly number[])[],
  voxels: Float32Array | Int16Array,
): ArrayBuffer {
  const offset = 352;
  const bytes = new ArrayBuffer(offset + voxels.byteLength);
  const view = new DataView(bytes);
  view.setInt32(0, HEADER_BYTES, true);
  view.setInt16(40, 3, true);
  for (let axis = 0; axis < 3; axis++) {
    view.setInt16(42 + 2 * axis, shape[axis] ?? 1, true);
    view.setFloat32(80 + 4 * axis, Math.hypot(...affine.slice(0, 3).map((row) => row[axis] ?? 0)), true);
    for (let column = 0; column < 4; column++)
      view.setFloat32(280 + 16 * axis + 4 * column, affine[axis]?.[column] ?? 0, true);
  }
  for (let axis = 4; axis < 8; axis++) view.setInt16(40 + 2 * axis, 1, true);
  view.setFloat32(76, 1, true);
  view.setInt16(70, voxels instanceof Int16Array ? INT16 : FLOAT32, true);
  view.setInt16(72, voxels.BYTES_PER_ELEMENT * 8, true);
  view.setFloat32(108, offset, true);
  view.setFloat32(112, 1, true);
  view.setInt16(254, 1, true); // sform: the affine below
  view.setUint32(344, 0x6e2b3100); // "n+1"
  new Uint8Array(bytes).set(new Uint8Array(voxels.buffer, voxels.byteOffset, voxels.byteLength), offset);
  return bytes;
}
