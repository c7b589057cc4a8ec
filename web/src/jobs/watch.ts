// One live record per job that is on screen, however many parts of the page look at it: one event stream each, because
// a browser opens only six connections to a host.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { api } from "../api/calls";
import { follow } from "../api/events";
import { asProblem, isAbort, type Problem } from "../api/problem";
import { persist, tryNow } from "../api/retry";
import { isTerminal, type JobRecord } from "../api/types";
import { changedBy } from "./changes";

export interface Watched {
  record: JobRecord | null;
  problem: Problem | null;
  /** When the page saw the job end (performance.now()); null for one that had ended before. */
  endedAt: number | null;
}

interface Watch {
  state: Signal<Watched>;
  watchers: number;
  stop: AbortController;
  /** Whether it no longer asks nor listens: the job has ended, or something is wrong. */
  hasEnded: boolean;
}

const watches = new Map<string, Watch>();
let posted: JobRecord | null = null;

/** The service's answer to a post, for the first watch of that job: it need not ask for what the page was just told. */
export function announce(record: JobRecord): void {
  posted = record;
}

/** The record of a job, kept up to date for as long as somebody watches. */
function watchJob(id: string): { state: Signal<Watched>; release: () => void } {
  let watch = watches.get(id);
  if (!watch) {
    const known = posted?.id === id ? posted : null;
    if (known) posted = null;
    const state = signal<Watched>({ record: known, problem: null, endedAt: null });
    const begun: Watch = { state, watchers: 0, stop: new AbortController(), hasEnded: false };
    watches.set(id, begun);
    void keepCurrent(id, state, begun.stop.signal).finally(() => (begun.hasEnded = true));
    watch = begun;
  }
  const own = watch;
  own.watchers += 1;
  let isHeld = true;
  return {
    state: own.state,
    release: () => {
      if (!isHeld) return;
      isHeld = false;
      own.watchers -= 1;
      if (own.watchers > 0) return;
      own.stop.abort();
      if (watches.get(id) === own) watches.delete(id);
    },
  };
}

async function keepCurrent(id: string, state: Signal<Watched>, signal: AbortSignal): Promise<void> {
  try {
    if (!state.value.record) {
      const told = (problem: Problem | null): void => {
        state.value = { ...state.value, problem };
      };
      state.value = { ...state.value, record: await persist(() => api.job(id, signal), signal, told), problem: null };
    }
    const record = state.value.record;
    if (!record || isTerminal(record.state)) return;
    for await (const event of follow(id, signal)) {
      const current = state.value.record;
      if (!current) return;
      state.value = {
        ...state.value,
        record: changedBy(event, current),
        endedAt: event.type === "end" ? performance.now() : null,
      };
    }
  } catch (fault) {
    if (!isAbort(fault)) state.value = { ...state.value, problem: asProblem(fault) };
  }
}

/** Asks for a job again, that could not be read or followed. */
export function retryJob(id: string): void {
  tryNow();
  const watch = watches.get(id);
  if (!watch?.hasEnded) return;
  watch.hasEnded = false;
  watch.state.value = { ...watch.state.value, problem: null };
  void keepCurrent(id, watch.state, watch.stop.signal).finally(() => (watch.hasEnded = true));
}

/** `watchJob` for as long as the component is there. */
export function useJob(id: string | null): Watched {
  const watch = useMemo(() => (id === null ? null : watchJob(id)), [id]);
  useEffect(() => () => watch?.release(), [watch]);
  return watch?.state.value ?? { record: null, problem: null, endedAt: null };
}
