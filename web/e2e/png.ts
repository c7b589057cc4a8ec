// PNG as Playwright writes screenshots: 8 bits, RGB or RGBA, not interlaced. Enough to look at pixels.
import { inflateSync } from "node:zlib";

export interface Picture {
  width: number;
  height: number;
  /** Brightness of each pixel, 0 to 255. */
  grey: Float32Array;
}

export function pictureOf(png: Buffer): Picture {
  const [width, height, depth, colour] = [png.readUInt32BE(16), png.readUInt32BE(20), png[24], png[25]];
  const channels = { 2: 3, 6: 4 }[colour ?? 0];
  if (depth !== 8 || channels === undefined || png[28] !== 0) throw new Error("a PNG of another kind");
  const rows = unfiltered(inflateSync(Buffer.concat(dataOf(png))), width * channels, height, channels);
  const grey = new Float32Array(width * height);
  for (let k = 0; k < grey.length; k++) {
    const at = k * channels;
    grey[k] = 0.299 * (rows[at] ?? 0) + 0.587 * (rows[at + 1] ?? 0) + 0.114 * (rows[at + 2] ?? 0);
  }
  return { width, height, grey };
}

function dataOf(png: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") pieces.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  return pieces;
}

/** Takes the filters of PNG's section 9.2 back. */
function unfiltered(lines: Buffer, stride: number, height: number, channels: number): Uint8Array {
  const rows = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = lines[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const a = x >= channels ? (rows[at - channels] ?? 0) : 0;
      const b = y > 0 ? (rows[at - stride] ?? 0) : 0;
      const c = x >= channels && y > 0 ? (rows[at - stride - channels] ?? 0) : 0;
      const guess = [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter ?? 0] ?? 0;
      rows[at] = (lines[y * (stride + 1) + 1 + x] ?? 0) + guess;
    }
  }
  return rows;
}

function paeth(a: number, b: number, c: number): number {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}
