// The scans that were encoded in this tab, by job. The service does not keep them; a File is a handle, not a copy.
import { signal } from "@preact/signals";

import type { JobRecord } from "../api/types";
import type { Shown } from "../viewer/stage";
import { openFile } from "../viewer/volume";
import { isUpload } from "./kinds";

const scans = signal<ReadonlyMap<string, File>>(new Map());

export function rememberScan(job: string, file: File): void {
  scans.value = new Map(scans.value).set(job, file);
}

export function scanOf(job: string): File | null {
  return scans.value.get(job) ?? null;
}

/** The job whose scan a record's volumes lie on: its own, or the encoding that it edits. */
export function scanJobOf(record: JobRecord): string | null {
  if (isUpload(record)) return record.id;
  const source = record.request["source"] as { job?: string } | null | undefined;
  return record.placement ? (source?.job ?? null) : null;
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
