// The gallery: every job of this key, the newest first.
import { signal } from "@preact/signals";

import type { JobFilter } from "../api/calls";
import type { JobKind, JobRecord, JobState } from "../api/types";
import { models } from "../catalogue";
import { KIND_NAMES } from "../jobs/kinds";
import { listed, useList } from "../jobs/listing";
import { countMarks, forget, isFound, markOf } from "../jobs/marks";
import { formatRoute, note, route } from "../route";
import { STATES } from "../text/words";
import { confirmed } from "../ui/confirm";
import { Button, Check, Field, Select } from "../ui/controls";
import { Empty, ProblemNotice, Skeleton } from "../ui/notices";
import { JobCard } from "./jobcard";
import { Selection } from "./selection";

const PAGE = 24;
/** How many are looked through at once where something is sought. */
const SOUGHT_PAGE = 200;

const wanted = signal(PAGE);
/** Not in the address: names may be a patient's, and a browser remembers addresses. */
const sought = signal("");
const picked = signal<ReadonlySet<string>>(new Set());

function filterOf(query: Readonly<Record<string, string>>): JobFilter {
  const filter: JobFilter = {};
  if (query["state"]) filter.state = query["state"] as JobState;
  if (query["kind"]) filter.kind = query["kind"] as JobKind;
  if (query["model"]) filter.model = query["model"];
  return filter;
}

export function JobsView() {
  const { query } = route.value;
  const filter = filterOf(query);
  const areStarred = query["starred"] === "yes";
  const isSought = areStarred || sought.value.trim() !== "";
  const step = isSought ? SOUGHT_PAGE : PAGE;
  const refresh = useList(filter, Math.max(step, wanted.value));
  const { items, hasMore, problem } = listed.value;
  const shown = items?.filter((record) => isFound(record, sought.value.trim()) && (!areStarred || hasStar(record)));
  const isFiltered = isSought || Boolean(filter.state ?? filter.kind ?? filter.model);
  return (
    <div class="solo">
      <div class="gallery-head">
        <h1>Jobs</h1>
        <Filters query={query} />
      </div>
      {shown && (
        <div class="gallery-head">
          <Check label="With a star" isOn={areStarred} onChange={(isOn) => note({ starred: isOn ? "yes" : null })} />
          <Selection
            shown={shown}
            chosen={shown.filter(({ id }) => picked.value.has(id))}
            onPick={(records) => (picked.value = new Set(records.map(({ id }) => id)))}
            onGone={refresh}
          />
        </div>
      )}
      {problem && <ProblemNotice problem={problem} onRetry={refresh} />}
      {!shown && !problem && <Skeleton lines={6} label="Loading the jobs" />}
      {shown?.length === 0 && <Nothing isFiltered={isFiltered} />}
      {shown && shown.length > 0 && (
        <ul class="gallery" aria-label="Jobs">
          {shown.map((record) => (
            <li key={record.id}>
              <JobCard
                record={record}
                isPicked={picked.value.has(record.id)}
                onPick={(isOn) => pick(record.id, isOn)}
                onGone={refresh}
              />
            </li>
          ))}
        </ul>
      )}
      {hasMore && items && (
        <div class="gallery-more">
          {isSought && <p class="hint">The newest {items.length} jobs were looked through.</p>}
          <Button onClick={() => (wanted.value = Math.max(step, wanted.value) + step)}>
            {isSought ? "Look further" : "Show more"}
          </Button>
        </div>
      )}
      {shown && <Kept />}
    </div>
  );
}

function hasStar({ id }: JobRecord): boolean {
  return markOf(id).hasStar ?? false;
}

function pick(id: string, isOn: boolean): void {
  const rest = [...picked.value].filter((other) => other !== id);
  picked.value = new Set(isOn ? [...rest, id] : rest);
}

function Nothing({ isFiltered }: { isFiltered: boolean }) {
  return (
    <Empty icon="filter" title={isFiltered ? "No job fits the filters" : "No jobs yet"}>
      {isFiltered ? (
        <a href={formatRoute("jobs")} onClick={() => (sought.value = "")}>
          Show all
        </a>
      ) : (
        <p>
          <a href={formatRoute("generate")}>Generate</a> a volume, or <a href={formatRoute("encode")}>encode</a> a scan.
        </p>
      )}
    </Empty>
  );
}

/** What this browser keeps beside the service's records, and how to be rid of it. */
function Kept() {
  const forgetAll = async (): Promise<void> => {
    const detail = "The names and stars of all jobs go, and the file names of their scans. The jobs stay.";
    if (await confirmed("Forget the names and stars?", detail, "Forget")) forget();
  };
  return (
    <p class="kept hint">
      Names, stars and the file names of scans are kept in this browser alone; the service does not have them.
      {countMarks() > 0 && (
        <Button kind="quiet" onClick={() => void forgetAll()}>
          Forget them
        </Button>
      )}
    </p>
  );
}

function Filters({ query }: { query: Readonly<Record<string, string>> }) {
  const any = ["", "any"] as const;
  const states = Object.entries(STATES) as [string, string][];
  const names = (models.value.value ?? []).map((model) => [model.name, model.name] as const);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be a grid in every browser
    <div class="filters" role="group" aria-label="Filters">
      <Field label="Search">
        {(id) => (
          <input
            id={id}
            type="search"
            placeholder="Name, kind, model, id"
            value={sought.value}
            onInput={(event) => (sought.value = event.currentTarget.value)}
          />
        )}
      </Field>
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
