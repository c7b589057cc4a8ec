// The scans that were encoded in this tab, by job. The service does not keep them; a File is a handle, not a copy.
import { signal } from "@preact/signals";

import type { JobRecord } from "../api/types";
import type { Shown } from "../viewer/stage";
import { openFile } from "../viewer/volume";
import { scanJobOf } from "./kinds";
import { mark } from "./marks";

const scans = signal<ReadonlyMap<string, File>>(new Map());

/** Whether a file is read by the service alone: of a DICOM series the page makes no picture. */
export function isDicom(file: File | null): boolean {
  return /\.(zip|dcm)$/i.test(file?.name ?? "");
}

export function rememberScan(job: string, file: File): void {
  if (!isDicom(file)) scans.value = new Map(scans.value).set(job, file);
  mark(job, { scan: file.name });
}

export function scanOf(job: string): File | null {
  return scans.value.get(job) ?? null;
}

export function scanUnder(record: JobRecord | null): File | null {
  const job = record && scanJobOf(record);
  return job ? scanOf(job) : null;
}

export function shownScan(file: File): Shown {
  const key = `file:${file.name}:${file.size}:${file.lastModified}`;
  return {
    key,
    title: `Scan: ${file.name}`,
    unit: "",
    scale: key,
    window: null,
    open: (_signal, told) => openFile(file, told),
  };
}
