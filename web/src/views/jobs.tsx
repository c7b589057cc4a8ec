// The gallery: every job of this key, the newest first.
import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { api, type JobFilter } from "../api/calls";
import { apiKey } from "../api/key";
import { asProblem, isAbort, type Problem } from "../api/problem";
import { isTerminal, type JobKind, type JobRecord, type JobState } from "../api/types";
import { models } from "../catalogue";
import { isPassing } from "../jobs/follow";
import { KIND_NAMES, kindOf, summary } from "../jobs/kinds";
import { formatRoute, note, route } from "../route";
import { ago, STATES } from "../text/words";
import { Button, Select } from "../ui/controls";
import { Empty, ProblemNotice, Skeleton } from "../ui/notices";
import { Preview } from "../ui/preview";
import { Actions } from "./actions";
import { Saving } from "./saving";
import { Doing, StateBadge } from "./state";
import { previewOf } from "./strip";

const PAGE = 24;
const MAX_PAGE = 200;
const LIVE_MS = 1500;
const CALM_MS = 10_000;

interface Listed {
  items: readonly JobRecord[] | null;
  hasMore: boolean;
  problem: Problem | null;
}

const NONE: Listed = { items: null, hasMore: false, problem: null };
const listed = signal(NONE);
const wanted = signal(PAGE);
effect(() => {
  void apiKey.value; // another key has other jobs
  listed.value = NONE;
});

function filterOf(query: Readonly<Record<string, string>>): JobFilter {
  const filter: JobFilter = { limit: wanted.value };
  if (query["state"]) filter.state = query["state"] as JobState;
  if (query["kind"]) filter.kind = query["kind"] as JobKind;
  if (query["model"]) filter.model = query["model"];
  return filter;
}

async function load(filter: JobFilter, signal: AbortSignal): Promise<void> {
  try {
    const page = await api.jobs(filter, signal);
    const items = page.items.filter(({ id }) => !isPassing(id));
    listed.value = { items, hasMore: page.next_cursor !== null, problem: null };
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
function useList(filter: JobFilter): () => void {
  const key = JSON.stringify(filter) + apiKey.value;
  const now = useRef((): void => undefined);
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (): void => {
      clearTimeout(timer);
      void (document.hidden ? Promise.resolve() : load(filter, stop.signal)).then(() => {
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

export function JobsView() {
  const { query } = route.value;
  const filter = filterOf(query);
  const refresh = useList(filter);
  const { items, hasMore, problem } = listed.value;
  const isFiltered = Boolean(filter.state ?? filter.kind ?? filter.model);
  return (
    <div class="solo">
      <div class="gallery-head">
        <h1>Jobs</h1>
        <Filters query={query} />
      </div>
      {problem && <ProblemNotice problem={problem} onRetry={refresh} />}
      {!items && !problem && <Skeleton lines={6} label="Loading the jobs" />}
      {items?.length === 0 && (
        <Empty icon="filter" title={isFiltered ? "No job fits the filters" : "No jobs yet"}>
          {isFiltered ? (
            <a href={formatRoute("jobs")}>Show all</a>
          ) : (
            <p>
              <a href={formatRoute("generate")}>Generate</a> a volume, or <a href={formatRoute("encode")}>encode</a> a
              scan.
            </p>
          )}
        </Empty>
      )}
      {items && items.length > 0 && (
        <ul class="gallery" aria-label="Jobs">
          {items.map((record) => (
            <li key={record.id}>
              <JobCard record={record} onGone={refresh} />
            </li>
          ))}
        </ul>
      )}
      {hasMore && wanted.value < MAX_PAGE && (
        <div class="gallery-more">
          <Button onClick={() => (wanted.value = Math.min(MAX_PAGE, wanted.value + PAGE))}>Show more</Button>
        </div>
      )}
    </div>
  );
}

function Filters({ query }: { query: Readonly<Record<string, string>> }) {
  const any = ["", "any"] as const;
  const states = Object.entries(STATES) as [string, string][];
  const names = (models.value.value ?? []).map((model) => [model.name, model.name] as const);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be a grid in every browser
    <div class="filters" role="group" aria-label="Filters">
      <Select
        label="State"
        value={query["state"] ?? ""}
        options={[any, ...states]}
        onChange={(state) => note({ state })}
      />
      <Select
        label="Kind"
        value={query["kind"] ?? ""}
        options={[any, ...KIND_NAMES]}
        onChange={(kind) => note({ kind })}
      />
      <Select
        label="Model"
        value={query["model"] ?? ""}
        options={[any, ...names]}
        onChange={(model) => note({ model })}
      />
    </div>
  );
}

function JobCard({ record, onGone }: { record: JobRecord; onGone: () => void }) {
  const first = record.results.find((result) => result.preview);
  const link = formatRoute("jobs", record.id);
  return (
    <article class="job" aria-label={`${kindOf(record).name} ${record.id.slice(0, 8)}`}>
      {/* biome-ignore lint/a11y/useAnchorContent: a second way for the mouse; the link with words follows */}
      <a class="job-picture" href={link} tabIndex={-1} aria-hidden="true">
        <Preview url={first ? previewOf(record, first) : null} alt="" planes="three" />
      </a>
      <div class="job-head">
        <a href={link}>
          {kindOf(record).name} <span class="hint">{record.id.slice(0, 8)}</span>
        </a>
        <StateBadge state={record.state} />
      </div>
      <p class="job-text">
        {record.model}
        <br />
        <span class="hint">
          {isTerminal(record.state) ? summary(record) : <Doing record={record} />}, {ago(record.created_at)}
        </span>
        {record.error && <span class="job-fault">{record.error.detail}</span>}
      </p>
      <div class="job-foot">
        <Actions record={record} isCompact onGone={onGone} />
        {isTerminal(record.state) && <Saving record={record} isCompact />}
      </div>
    </article>
  );
}
