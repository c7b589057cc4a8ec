// Files to the person's disk.
import { fetchFile } from "./calls";

export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  const url = URL.createObjectURL(blob);
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The blob of a file with its own media type, so that no browser adds or takes away an ending. */
export async function fetchBlob(url: string, signal?: AbortSignal): Promise<Blob> {
  return (await fetchFile(url, signal)).blob();
}

export async function saveFile(url: string, name: string): Promise<void> {
  saveBlob(await fetchBlob(url), name);
}

/** Several files as one archive, stored as they are: volumes are compressed already. */
export async function saveArchive(
  files: readonly { url: string; name: string }[],
  name: string,
  told: (done: number) => void,
): Promise<void> {
  const { Zip, ZipPassThrough } = await import("fflate");
  const parts: Blob[] = [];
  let pending: Uint8Array<ArrayBuffer>[] = [];
  const archive = new Zip((fault, piece) => {
    if (fault) throw fault;
    pending.push(piece as Uint8Array<ArrayBuffer>);
  });
  for (const [index, file] of files.entries()) {
    const entry = new ZipPassThrough(file.name);
    archive.add(entry);
    entry.push(new Uint8Array(await (await fetchFile(file.url)).arrayBuffer()), true);
    parts.push(new Blob(pending)); // which the browser may keep on disk
    pending = [];
    told(index + 1);
  }
  archive.end();
  saveBlob(new Blob([...parts, ...pending], { type: "application/zip" }), name);
}
