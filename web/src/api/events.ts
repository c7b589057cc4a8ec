// A job's events. EventSource sends no headers, so the stream is read from fetch: same format, same resuming.
import { signal } from "@preact/signals";

import { addressOf } from "./address";
import { EventParser, type RawEvent } from "./eventstream";
import { keyedFetch } from "./key";
import { isAbort, problemOf } from "./problem";
import type { JobRecord, JobState, ResultFile } from "./types";

export type JobEvent =
  | { type: "state"; data: { state: JobState } }
  | { type: "progress"; data: { stage: string; done: number; total: number; left_s?: number } }
  | { type: "result"; data: ResultFile }
  | { type: "end"; data: JobRecord };

const RETRY_MS = [250, 500, 1000, 2000, 4000];
/** Failures, one after the other, from which on a connection counts as lost. */
const LOST_AFTER = 2;
const lost = signal<ReadonlySet<string>>(new Set());

/** Whether a job's events are asked for, but do not come. */
export function isLost(jobId: string): boolean {
  return lost.value.has(jobId);
}

function setLost(jobId: string, isLost: boolean): void {
  if (lost.peek().has(jobId) === isLost) return;
  const others = [...lost.peek()].filter((id) => id !== jobId);
  lost.value = new Set(isLost ? [...others, jobId] : others);
}

/**
 * Events from the start up to and with `end`. A connection that breaks is taken up again after the last event seen.
 * Throws: Problem for a job that is not there; AbortError.
 */
export async function* follow(jobId: string, signal: AbortSignal): AsyncGenerator<JobEvent, void, void> {
  let last = "";
  let failures = 0;
  try {
    while (!signal.aborted) {
      try {
        for await (const event of listen(jobId, last, signal)) {
          last = event.id;
          failures = 0;
          const read = { type: event.type, data: JSON.parse(event.data) } as JobEvent;
          yield read;
          if (read.type === "end") return;
        }
      } catch (fault) {
        if (isAbort(fault) || !(fault instanceof TypeError)) throw fault;
      }
      const waitMs = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)] ?? 4000;
      if (failures >= LOST_AFTER) setLost(jobId, true);
      await pause(waitMs, signal);
    }
  } finally {
    setLost(jobId, false);
  }
}

async function* listen(jobId: string, last: string, signal: AbortSignal): AsyncGenerator<RawEvent, void, void> {
  const headers = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
  const answer = await keyedFetch(addressOf(`/jobs/${jobId}/events`), { headers, signal, cache: "no-store" });
  if (answer.status === 503 || answer.status === 429) return; // too many listeners: asks again after a pause
  if (!answer.ok) throw await problemOf(answer);
  if (!answer.body) return;
  setLost(jobId, false);
  const parser = new EventParser();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield* parser.push(piece.value);
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
