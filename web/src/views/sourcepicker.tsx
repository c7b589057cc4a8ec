// Where an edit starts, or ends: a seed, or a result of an earlier job.
import { useEffect, useState } from "preact/hooks";

import { api } from "../api/calls";
import { persist } from "../api/retry";
import type { JobRecord, Source } from "../api/types";
import { isPassing } from "../jobs/follow";
import { kindOf } from "../jobs/kinds";
import { ago, nameOf } from "../text/words";
import { Segments, Select } from "../ui/controls";
import { SeedField } from "./seedfield";

export type Start = { kind: "seed"; seed: number } | { kind: "result"; job: string; index: number };

export function sourceOf(start: Start): Source {
  return start.kind === "seed" ? { seed: start.seed } : { job: start.job, index: start.index };
}

export function keyOf(start: Start): string {
  return start.kind === "seed" ? `seed ${start.seed}` : `${start.job}/${start.index}`;
}

interface Choice {
  job: string;
  index: number;
  text: string;
}

/** Every latent of a job once: an encoded scan has one, whatever was made of it; a volume without one is no start. */
export function choicesOf(record: JobRecord): Choice[] {
  const { name, latents } = kindOf(record);
  const what = `${name}, ${ago(record.created_at)}`;
  if (latents)
    return record.state === "succeeded" ? [{ job: record.id, index: 0, text: `Encoded scan (${what})` }] : [];
  return record.results
    .filter(({ latent }) => latent)
    .map((result) => ({ job: record.id, index: result.index, text: `${nameOf(result)} (${what})` }));
}

interface SourcePickerProps {
  label: string;
  model: string;
  value: Start;
  onChange: (start: Start) => void;
}

export function SourcePicker({ label, model, value, onChange }: SourcePickerProps) {
  const [choices, setChoices] = useState<Choice[] | null>(null);
  const isResult = value.kind === "result";
  useEffect(() => {
    if (!isResult) return;
    const stop = new AbortController();
    persist(() => api.jobs({ model, limit: 30 }, stop.signal), stop.signal).then(
      (page) => setChoices(page.items.filter(({ id }) => !isPassing(id)).flatMap(choicesOf)),
      () => setChoices([]),
    );
    return () => stop.abort();
  }, [model, isResult]);

  const pick = (kind: string): void => {
    if (kind === "seed") onChange({ kind: "seed", seed: 42 });
    else onChange({ kind: "result", job: choices?.[0]?.job ?? "", index: choices?.[0]?.index ?? 0 });
  };
  useEffect(() => {
    const first = choices?.[0];
    if (value.kind === "result" && !value.job && first)
      onChange({ kind: "result", job: first.job, index: first.index });
  }, [choices, value]);

  return (
    <fieldset class="source">
      <legend>{label}</legend>
      <Segments
        label={`${label} is`}
        value={value.kind}
        options={[
          ["seed", "A seed"],
          ["result", "An earlier result"],
        ]}
        onChange={pick}
      />
      {value.kind === "seed" ? (
        <SeedField label={`${label}: seed`} value={value.seed} onChange={(seed) => onChange({ kind: "seed", seed })} />
      ) : (
        <ResultSelect label={label} value={value} choices={choices} onChange={onChange} />
      )}
    </fieldset>
  );
}

function ResultSelect({
  label,
  value,
  choices,
  onChange,
}: {
  label: string;
  value: Extract<Start, { kind: "result" }>;
  choices: Choice[] | null;
  onChange: (start: Start) => void;
}) {
  const key = (job: string, index: number): string => `${job}/${index}`;
  const own = key(value.job, value.index);
  const options = (choices ?? []).map((choice) => [key(choice.job, choice.index), choice.text] as const);
  if (value.job && !options.some(([known]) => known === own))
    options.unshift([own, `Job ${value.job.slice(0, 8)}, sample ${value.index + 1}`]);
  if (options.length === 0)
    return <p class="hint">{choices ? "This model has no results yet." : "Looking for results"}</p>;
  return (
    <Select
      label={`${label}: result`}
      value={own}
      options={options}
      onChange={(picked) => {
        const [job = "", index = "0"] = picked.split("/");
        onChange({ kind: "result", job, index: Number(index) });
      }}
    />
  );
}
