// Pictures of what a model makes: of the last jobs, or of a few volumes made when a person asks for them.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { api } from "../../api/calls";
import { asProblem, type Problem } from "../../api/problem";
import { persist } from "../../api/retry";
import type { JobRecord, ModelCard, ResultFile } from "../../api/types";
import { kindOf } from "../../jobs/kinds";
import { announce, retryJob, useJob } from "../../jobs/watch";
import { formatRoute } from "../../route";
import { nameOf } from "../../text/words";
import { Button, Meter } from "../../ui/controls";
import { ProblemNotice } from "../../ui/notices";
import { Preview } from "../../ui/preview";
import { ClassField, givenFor } from "../classfield";
import { Doing, StateBadge } from "../state";
import { previewOf } from "../strip";

const SHOWN = 8;
const MADE = 4;
const FIRST_SEED = 1;

interface Sample {
  record: JobRecord;
  result: ResultFile;
}

/** The results of these jobs that have a picture, those of the newest job first. */
function samplesOf(records: readonly JobRecord[]): Sample[] {
  const all = records.flatMap((record) => record.results.map((result) => ({ record, result })));
  return all.filter(({ result }) => result.preview).slice(0, SHOWN);
}

export function Samples({ card }: { card: ModelCard }) {
  const listed = useSignal<readonly JobRecord[] | null>(null);
  const job = useSignal<string | null>(null);
  const label = useSignal("");
  const problem = useSignal<Problem | null>(null);
  const isPosting = useSignal(false);
  const watched = useJob(job.value);
  useEffect(() => {
    const stop = new AbortController();
    persist(() => api.jobs({ model: card.name, kind: "generate", limit: SHOWN }, stop.signal), stop.signal).then(
      (page) => (listed.value = page.items),
      () => (listed.value = []),
    );
    return () => stop.abort();
  }, [card.name]);
  const make = async (): Promise<void> => {
    isPosting.value = true;
    problem.value = null;
    try {
      const about = { model: card.name, ...givenFor(card, label.value) };
      const record = await api.generate({ ...about, seed: FIRST_SEED, num_samples: MADE, output: { preview: true } });
      announce(record);
      job.value = record.id;
    } catch (fault) {
      problem.value = asProblem(fault);
    }
    isPosting.value = false;
  };
  const { record } = watched;
  const samples = samplesOf([...(record ? [record] : []), ...(listed.value ?? [])]);
  const isLive = record !== null && !record.ended_at;
  const trouble = problem.value ?? watched.problem;
  return (
    <section class="panel" aria-label="Samples">
      <h3>Samples</h3>
      <div class="samples-place">
        {samples.length > 0 ? (
          <ul class="samples" aria-label="Samples">
            {samples.map((sample) => (
              <li key={`${sample.record.id} ${sample.result.name}`}>
                <Thumb {...sample} />
              </li>
            ))}
          </ul>
        ) : (
          <p class="hint">{listed.value ? "No job of this model has pictures yet." : "Looking for pictures"}</p>
        )}
      </div>
      <ClassField card={card} value={label.value} onChange={(name) => (label.value = name)} />
      <div class="status">
        <Button icon="dice" isDisabled={isPosting.value || isLive} onClick={() => void make()}>
          Make {MADE} samples
        </Button>
        {record ? (
          <>
            <StateBadge state={record.state} />
            <p class="status-text" role="status">
              <Doing record={record} />
            </p>
          </>
        ) : (
          <span class="hint">
            Seeds {FIRST_SEED} to {FIRST_SEED + MADE - 1}; a job like any other.
          </span>
        )}
        <div class="status-meter">{isLive && <Meter fraction={null} label="Progress of the samples" />}</div>
      </div>
      {trouble && (
        <ProblemNotice problem={trouble} onRetry={watched.problem ? () => retryJob(job.value ?? "") : undefined} />
      )}
      {record?.error && <p class="job-fault">{record.error.detail}</p>}
    </section>
  );
}

function Thumb({ record, result }: Sample) {
  const name = nameOf(result);
  return (
    <a
      class="thumb"
      href={formatRoute("jobs", record.id, { show: result.name })}
      aria-label={`${name}, ${kindOf(record).name} ${record.id.slice(0, 8)}`}
    >
      <Preview url={previewOf(record, result)} alt="" />
      <span class="thumb-name">{name}</span>
    </a>
  );
}
