// Generate: volumes from seeds.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { api } from "../api/calls";
import { asProblem, type Problem } from "../api/problem";
import type { GenerateRequest, JobRecord, ModelCard } from "../api/types";
import { generators, preferred, rememberModel } from "../catalogue";
import { draft } from "../jobs/draft";
import { remember, throwDice } from "../jobs/seeds";
import { announce, useJob } from "../jobs/watch";
import { note, route } from "../route";
import { unitOf } from "../text/words";
import { Button, Check, Select } from "../ui/controls";
import { ModelPicker } from "../ui/modelcard";
import { Empty, ProblemNotice } from "../ui/notices";
import { NumberSlider } from "../ui/numberslider";
import { Viewer } from "../viewer/viewer";
import { ClassField, givenFor, labelOf } from "./classfield";
import { JobPanel } from "./jobpanel";
import { type Output, OutputFields, outputOf, USUAL } from "./outputfields";
import { SeedField } from "./seedfield";
import { useTakeOver } from "./takeover";
import { Truncation } from "./truncation";

interface Form {
  model: string | null;
  seed: number;
  count: number;
  truncation: number | null;
  label: string;
  noise: "constant" | "random";
  score: boolean;
  /** 0: every sample is taken. */
  leastRealism: number;
  output: Output;
}

const FRESH: Form = {
  model: null,
  seed: throwDice(),
  count: 1,
  truncation: null,
  label: "",
  noise: "constant",
  score: false,
  leastRealism: 0,
  output: USUAL,
};
const NOISE = [
  ["constant", "The same in every sample"],
  ["random", "Each sample its own"],
] as const;

const form = draft<Form>("generate", FRESH);
const MAX_SAMPLES = 64;

function change(part: Partial<Form>): void {
  form.value = { ...form.value, ...part };
}

/** Whether the network has noise inputs, by what the server goes by too. */
function hasNoise(card: ModelCard): boolean {
  return card.latent.has_style_space && card.network.noise !== false;
}

function requestOf(
  { seed, count, truncation, label, noise, score, leastRealism, output }: Form,
  card: ModelCard,
): GenerateRequest {
  const about = { model: card.name, ...givenFor(card, label) };
  const request: GenerateRequest = { ...about, seed, num_samples: count, output: { ...output, preview: true } };
  if (truncation !== null) request.truncation = truncation;
  if (hasNoise(card)) request.noise = noise;
  if (card.has_reference && leastRealism > 0) request.reject_below = leastRealism;
  else if (card.has_reference && score) request.score = true;
  return request;
}

export function GenerateView() {
  const { job } = route.value.query;
  const { record, problem } = useJob(job ?? null);
  useTakeOver("generate", takeOver, chooseModel);
  return (
    <div class="work">
      <GenerateForm news={record} />
      <section class="stage" aria-label="Volumes">
        {job ? (
          <JobPanel record={record} problem={problem} />
        ) : (
          <>
            <Empty icon="dice" title="No volume yet">
              <p>Choose a model and a seed. The same seed always makes the same volume.</p>
            </Empty>
            <Viewer first={null} />
          </>
        )}
      </section>
    </div>
  );
}

function chooseModel(name: string): void {
  change({ model: name, truncation: null, label: "" });
}

/** The form as it was when the job was asked for. */
function takeOver({ request }: JobRecord): void {
  const old = request as Partial<GenerateRequest>;
  change({
    model: old.model ?? null,
    seed: old.seed ?? old.seeds?.[0] ?? form.value.seed,
    count: old.num_samples ?? 1,
    truncation: old.truncation ?? null,
    label: labelOf(request),
    noise: old.noise ?? "constant",
    score: old.score ?? false,
    leastRealism: old.reject_below ?? 0,
    output: outputOf(old.output),
  });
}

/** `news` is what the service last told. */
function GenerateForm({ news }: { news: JobRecord | null }) {
  const { model, seed, count, truncation, label, noise, score, leastRealism, output } = form.value;
  const cards = generators("generate");
  const card = preferred(cards, model);
  const isPosting = useSignal(false);
  const refusal = useSignal<Problem | null>(null);

  useEffect(() => {
    if (refusal.value?.status === 0) refusal.value = null; // no answer then, but an event now
  }, [news]);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (!card || isPosting.value) return;
    isPosting.value = true;
    refusal.value = null;
    try {
      const record = await api.generate(requestOf(form.value, card));
      announce(record);
      remember(seed);
      rememberModel(card.name);
      note({ job: record.id, show: null, with: null });
    } catch (fault) {
      refusal.value = asProblem(fault);
    }
    isPosting.value = false;
  };

  return (
    <form class="panel" aria-label="Generate" onSubmit={(event) => void submit(event)}>
      <h1>Generate</h1>
      <ModelPicker value={card?.name ?? null} cards={cards} onChange={chooseModel} />
      {card && (
        <div class="fields">
          <SeedField
            value={seed}
            hint={count > 1 ? `Samples have the seeds ${seed} to ${seed + count - 1}.` : undefined}
            onChange={(next) => change({ seed: next })}
          />
          <ClassField card={card} value={label} onChange={(name) => change({ label: name })} />
          <Truncation card={card} value={truncation} onChange={(next) => change({ truncation: next })} />
          {hasNoise(card) && (
            <Select label="Noise" value={noise} options={NOISE} onChange={(next) => change({ noise: next })} />
          )}
          {card.has_reference && (
            <>
              <Check
                label="Compare each volume with the model's scans"
                isOn={leastRealism > 0 || score}
                onChange={(next) => change({ score: next, leastRealism: next ? leastRealism : 0 })}
              />
              <NumberSlider
                label="Least realism"
                min={0}
                max={2}
                step={0.05}
                value={leastRealism}
                hint="Below it a sample is drawn again by other seeds, at most 10 in all. 0 takes every sample; 1 lies among the scans."
                onInput={(next) => change({ leastRealism: next })}
              />
            </>
          )}
          <NumberSlider
            label="Samples"
            min={1}
            max={MAX_SAMPLES}
            step={1}
            value={count}
            onInput={(next) => change({ count: next })}
          />
          <OutputFields value={output} unit={unitOf(card)} onChange={(next) => change({ output: next })} />
          <Button kind="primary" type="submit" isDisabled={isPosting.value}>
            {count === 1 ? "Generate" : `Generate ${count} volumes`}
          </Button>
        </div>
      )}
      {refusal.value && <ProblemNotice problem={refusal.value} />}
    </form>
  );
}
