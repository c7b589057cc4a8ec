// A job's events. EventSource sends no headers, so the stream is read from fetch: same format, same resuming.
import { authorization } from "./key";
import { isAbort, problemOf } from "./problem";
import type { JobRecord, JobState, ResultFile } from "./types";

export interface RawEvent {
  id: string;
  type: string;
  data: string;
}

export type JobEvent =
  | { type: "state"; data: { state: JobState } }
  | { type: "progress"; data: { stage: string; done: number; total: number } }
  | { type: "result"; data: ResultFile }
  | { type: "end"; data: JobRecord };

/** Cuts a text stream into events (WHATWG HTML, 9.2.6); pieces may end anywhere. */
export class EventParser {
  private rest = "";
  private id = "";
  private type = "";
  private data: string[] = [];

  push(piece: string): RawEvent[] {
    const text = this.rest + piece;
    // A CR at the very end may be half of a CRLF: it waits for what follows.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.take(line));
  }

  private take(line: string): RawEvent[] {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return [];
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id" && !value.includes("\0")) this.id = value;
    else if (field === "event") this.type = value;
    else if (field === "data") this.data.push(value);
    return [];
  }

  private dispatch(): RawEvent[] {
    const event = { id: this.id, type: this.type || "message", data: this.data.join("\n") };
    const isEmpty = this.data.length === 0;
    this.type = "";
    this.data = [];
    return isEmpty ? [] : [event];
  }
}

const RETRY_MS = [250, 500, 1000, 2000, 4000];

/**
 * Events from the start up to and with `end`. A connection that breaks is taken up again after the last event seen.
 * Throws: Problem for a job that is not there; AbortError.
 */
export async function* follow(jobId: string, signal: AbortSignal): AsyncGenerator<JobEvent, void, void> {
  let last = "";
  let failures = 0;
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
    await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)] ?? 4000, signal);
  }
}

async function* listen(jobId: string, last: string, signal: AbortSignal): AsyncGenerator<RawEvent, void, void> {
  const headers = { Accept: "text/event-stream", ...authorization(), ...(last ? { "Last-Event-ID": last } : {}) };
  const answer = await fetch(`/jobs/${jobId}/events`, { headers, signal, cache: "no-store" });
  if (answer.status === 503 || answer.status === 429) return; // too many listeners: asks again after a pause
  if (!answer.ok) throw await problemOf(answer);
  if (!answer.body) return;
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
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
