// The list of jobs: asked for in pages, and again for as long as somebody looks.
import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { api, type JobFilter } from "../api/calls";
import { apiKey } from "../api/key";
import { asProblem, isAbort, type Problem } from "../api/problem";
import { isTerminal, type JobRecord } from "../api/types";
import { isPassing } from "./follow";

const LIVE_MS = 1500;
const CALM_MS = 10_000;
/** The most that one call lists. */
const MAX_PAGE = 200;

export interface Listed {
  items: readonly JobRecord[] | null;
  hasMore: boolean;
  problem: Problem | null;
}

const NONE: Listed = { items: null, hasMore: false, problem: null };
export const listed = signal(NONE);
effect(() => {
  void apiKey.value; // another key has other jobs
  listed.value = NONE;
});

async function load(filter: JobFilter, wanted: number, signal: AbortSignal): Promise<void> {
  const items: JobRecord[] = [];
  let cursor: string | null = null;
  try {
    do {
      const limit = Math.min(MAX_PAGE, wanted - items.length);
      const page = await api.jobs({ ...filter, limit, ...(cursor && { cursor }) }, signal);
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null && items.length < wanted);
    listed.value = { items: items.filter(({ id }) => !isPassing(id)), hasMore: cursor !== null, problem: null };
  } catch (fault) {
    if (isAbort(fault)) return;
    const problem = asProblem(fault);
    listed.value = { ...(isRefused(problem) ? NONE : listed.value), problem };
  }
}

function isRefused(problem: Problem | null): boolean {
  return problem?.status === 401;
}

/** Lists now, and again: soon while a job is on its way, seldom otherwise, never while nobody looks or the key is wrong. */
export function useList(filter: JobFilter, wanted: number): () => void {
  const key = JSON.stringify([filter, wanted, apiKey.value]);
  const now = useRef((): void => undefined);
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (): void => {
      clearTimeout(timer);
      void (document.hidden ? Promise.resolve() : load(filter, wanted, stop.signal)).then(() => {
        if (stop.signal.aborted || isRefused(listed.value.problem)) return;
        const isLive = listed.value.items?.some((record) => !isTerminal(record.state));
        timer = setTimeout(again, isLive ? LIVE_MS : CALM_MS);
      });
    };
    now.current = again;
    again();
    document.addEventListener("visibilitychange", again, { signal: stop.signal });
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key]);
  return () => now.current();
}
