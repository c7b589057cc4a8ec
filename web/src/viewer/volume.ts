// Volumes on their way to the screen: fetched with the key, decompressed as they arrive, held once.
import { fetchFile } from "../api/calls";
import { niftiLength, placeUnsaid, type VolumeFile } from "./nifti";

export type { VolumeFile } from "./nifti";

/** Told while a volume arrives: a fraction, or null where the size is not known. */
export type Told = (fraction: number | null) => void;

export async function fetchVolume(url: string, signal: AbortSignal, told: Told): Promise<VolumeFile> {
  const answer = await fetchFile(url, signal);
  const name = decodeURIComponent(new URL(url, location.href).pathname.split("/").pop() ?? "volume.nii");
  if (!answer.body) return { name, bytes: await answer.arrayBuffer() };
  const size = Number(answer.headers.get("Content-Length")) || null;
  return read(answer.body.pipeThrough(counted(size, told)), name, size);
}

export async function openFile(file: File, told: Told): Promise<VolumeFile> {
  const opened = await read(file.stream().pipeThrough(counted(file.size, told)), file.name, file.size);
  placeUnsaid(opened);
  return opened;
}

async function read(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  name: string,
  size: number | null,
): Promise<VolumeFile> {
  if (!/\.nii\.gz$/i.test(name)) return { name, bytes: await collect(stream, size) };
  const plain = stream.pipeThrough(new DecompressionStream("gzip"));
  return { name: name.replace(/\.gz$/i, ""), bytes: await collect(plain, null) };
}

function counted(size: number | null, told: Told): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let seen = 0;
  return new TransformStream({
    transform(piece, controller) {
      seen += piece.byteLength;
      told(size ? Math.min(1, seen / size) : null);
      controller.enqueue(piece);
    },
  });
}

/** All bytes of a stream in one buffer. A NIfTI header tells how long it must be: then nothing is copied twice. */
async function collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>, size: number | null): Promise<ArrayBuffer> {
  let buffer = new Uint8Array(size ?? 0);
  let used = 0;
  const reader = stream.getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    const piece = step.value;
    if (used + piece.byteLength > buffer.byteLength) {
      const told = used === 0 ? (niftiLength(piece) ?? 0) : 0;
      const grown = new Uint8Array(Math.max(told, used + piece.byteLength, Math.ceil(buffer.byteLength * 1.5)));
      grown.set(buffer.subarray(0, used));
      buffer = grown;
    }
    buffer.set(piece, used);
    used += piece.byteLength;
  }
  return used === buffer.byteLength ? buffer.buffer : buffer.buffer.slice(0, used);
}
