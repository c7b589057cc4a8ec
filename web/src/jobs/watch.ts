// One live record per job that is on screen, however many parts of the page look at it: one event stream each, because
// a browser opens only six connections to a host.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { api } from "../api/calls";
import { follow, type JobEvent } from "../api/events";
import { asProblem, isAbort, type Problem } from "../api/problem";
import { isTerminal, type JobRecord } from "../api/types";

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
}

const watches = new Map<string, Watch>();

/** The record of a job, kept up to date for as long as somebody watches. `known` saves the first question. */
export function watchJob(id: string, known?: JobRecord): { state: Signal<Watched>; release: () => void } {
  let watch = watches.get(id);
  if (!watch) {
    const state = signal<Watched>({ record: known ?? null, problem: null, endedAt: null });
    watch = { state, watchers: 0, stop: new AbortController() };
    watches.set(id, watch);
    void keepCurrent(id, state, watch.stop.signal);
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
    if (!state.value.record) state.value = { ...state.value, record: await api.job(id, signal) };
    const record = state.value.record;
    if (!record || isTerminal(record.state)) return;
    for await (const event of follow(id, signal)) {
      const current = state.value.record;
      if (!current) return;
      state.value = { ...state.value, record: changedBy(event, current), endedAt: event.type === "end" ? performance.now() : null };
    }
  } catch (fault) {
    if (!isAbort(fault)) state.value = { ...state.value, problem: asProblem(fault) };
  }
}

/** The record after an event. An event may come twice, after a connection was taken up again. */
export function changedBy(event: JobEvent, record: JobRecord): JobRecord {
  switch (event.type) {
    case "state":
      return { ...record, state: event.data.state };
    case "progress":
      return {
        ...record,
        state: "running",
        stage: event.data.stage,
        progress: { done: Math.max(event.data.done, record.results.length), total: event.data.total },
      };
    case "result": {
      const others = record.results.filter((known) => known.name !== event.data.name);
      const results = [...others, event.data].sort((a, b) => a.index - b.index);
      const total = Math.max(record.progress.total, results.length);
      return { ...record, results, progress: { done: Math.min(results.length, total), total } };
    }
    case "end":
      return event.data;
    default:
      return record; // an event of a newer service
  }
}

/** `watchJob` for as long as the component is there. */
export function useJob(id: string | null): Watched {
  const watch = useMemo(() => (id === null ? null : watchJob(id)), [id]);
  useEffect(() => () => watch?.release(), [watch]);
  return watch?.state.value ?? { record: null, problem: null, endedAt: null };
}
