// What a person calls a job, whether it has a star, and the file name of its scan. The service's records hold none of it:
// names may be a patient's. It lies in this browser alone, where it can be forgotten.
import { signal } from "@preact/signals";

import type { JobRecord } from "../api/types";
import { kindOf, scanJobOf, summary } from "./kinds";

export interface Mark {
  name?: string;
  hasStar?: boolean;
  /** The name of the file that was sent. */
  scan?: string;
}

type Marks = Readonly<Record<string, Mark>>;
export const SLOT = "voxelsmith.marks";
export const MAX_NAME = 80;

/** What was kept, without what this page would not have written. */
export function parseMarks(text: string | null): Marks {
  try {
    const told: unknown = JSON.parse(text ?? "{}");
    if (typeof told !== "object" || told === null || Array.isArray(told)) return {};
    return Object.fromEntries(Object.entries(told).map(([job, mark]) => [job, sound(mark)]));
  } catch {
    return {};
  }
}

function sound(told: unknown): Mark {
  if (typeof told !== "object" || told === null) return {};
  const { name, hasStar, scan } = told as Record<string, unknown>;
  return {
    ...(typeof name === "string" && { name }),
    ...(hasStar === true && { hasStar }),
    ...(typeof scan === "string" && { scan }),
  };
}

const marks = signal<Marks>(stored());

function stored(): Marks {
  return typeof localStorage === "undefined" ? {} : parseMarks(localStorage.getItem(SLOT));
}

/** Another tab of this browser may have changed them. */
export function keepMarks(): void {
  addEventListener("storage", ({ key }) => {
    if (key === SLOT || key === null) marks.value = stored();
  });
}

function write(next: Marks): void {
  marks.value = next;
  localStorage.setItem(SLOT, JSON.stringify(next));
}

export function mark(job: string, part: Partial<Mark>): void {
  const all = stored();
  write(tidied({ ...all, [job]: { ...all[job], ...part } }));
}

/** Without marks that say nothing. */
export function tidied(all: Marks): Marks {
  const says = ({ name, hasStar, scan }: Mark): boolean => Boolean(name || hasStar || scan);
  return Object.fromEntries(Object.entries(all).filter(([, one]) => says(one)));
}

/** Forgets the marks of a job that is gone, or all. */
export function forget(job?: string): void {
  const { [job ?? ""]: _gone, ...others } = stored();
  write(job === undefined ? {} : others);
}

export function markOf(job: string): Mark {
  return marks.value[job] ?? {};
}

export function countMarks(): number {
  return Object.keys(marks.value).length;
}

/** The file name of the scan that a record's volumes were made of. */
export function scanNameOf(record: JobRecord): string | null {
  const job = scanJobOf(record);
  return (job && markOf(job).scan) || null;
}

/** Whether every word stands in a job's name, kind, model, id, its scan's file name, or what was asked. */
export function isFound(record: JobRecord, sought: string): boolean {
  const { name = "" } = markOf(record.id);
  const about = [name, scanNameOf(record) ?? "", kindOf(record).name, record.model, record.id, summary(record)];
  const text = about.join(" ").toLowerCase();
  return sought
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
