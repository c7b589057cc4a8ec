// A new direction: from measured samples, or from the weights alone.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { api } from "../../api/calls";
import { asProblem, type Problem } from "../../api/problem";
import type { ModelCard, RegressionFit, SefaFit } from "../../api/types";
import { loadDirections } from "../../catalogue";
import { announce, retryJob, useJob } from "../../jobs/watch";
import { formatRoute } from "../../route";
import { unitOf } from "../../text/words";
import { Button, Field, Meter, NumberField, Segments, Select } from "../../ui/controls";
import { Empty, ProblemNotice } from "../../ui/notices";
import { NumberSlider } from "../../ui/numberslider";
import { attempt } from "../../ui/toast";
import { Doing, StateBadge } from "../state";

type Method = "regression" | "sefa";
type Measure = NonNullable<RegressionFit["measure"]>["name"];
const MEASURES: readonly (readonly [Measure, string])[] = [
  ["volume_above", "Volume above a value"],
  ["volume_below", "Volume below a value"],
  ["mean_intensity", "Mean value"],
];
const NAME = "[a-z0-9][a-z0-9._\\-]{0,47}";

export function Fit({ card }: { card: ModelCard }) {
  const { low, high } = card.intensity;
  const chosen = useSignal<Method>("regression");
  const method = card.is_open ? chosen.value : "regression"; // the choice may be another model's
  const name = useSignal("my-direction");
  const measure = useSignal<Measure>("volume_above");
  const threshold = useSignal((low + high) / 2);
  const samples = useSignal(32);
  const count = useSignal(3);
  const job = useSignal<string | null>(null);
  const isPosting = useSignal(false);
  const refusal = useSignal<Problem | null>(null);

  const requested = (): RegressionFit | SefaFit => {
    if (method === "sefa") return { method: "sefa", name_prefix: name.value, count: count.value };
    const isMean = measure.value === "mean_intensity";
    const title = MEASURES.find(([key]) => key === measure.value)?.[1].toLowerCase() ?? measure.value;
    return {
      method: "regression",
      name: name.value,
      attribute: isMean ? title : `${title.replace(" a value", "")} ${threshold.value}`,
      measure: isMean ? { name: measure.value } : { name: measure.value, threshold: threshold.value },
      num_samples: samples.value,
    };
  };
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (isPosting.value) return;
    isPosting.value = true;
    refusal.value = null;
    try {
      const record = await api.fitDirection(card.name, requested());
      announce(record);
      job.value = record.id;
    } catch (fault) {
      refusal.value = asProblem(fault);
    }
    isPosting.value = false;
  };
  return (
    <>
      <form class="fields" aria-label="New direction" onSubmit={(event) => void submit(event)}>
        {card.is_open && (
          <Segments
            label="Method"
            value={method}
            options={[
              ["regression", "Measured"],
              ["sefa", "From the weights"],
            ]}
            onChange={(next) => (chosen.value = next)}
          />
        )}
        <Field
          label={method === "sefa" ? "Name, before a number" : "Name"}
          hint="Small letters, digits, dots and dashes"
        >
          {(id, hintId) => (
            <input
              id={id}
              type="text"
              required
              pattern={NAME}
              maxLength={48}
              aria-describedby={hintId}
              value={name.value}
              onInput={(event) => (name.value = event.currentTarget.value)}
            />
          )}
        </Field>
        {method === "sefa" ? (
          <NumberSlider
            label="Directions"
            min={1}
            max={16}
            step={1}
            value={count.value}
            onInput={(next) => (count.value = next)}
          />
        ) : (
          <>
            <Select
              label="Measure"
              value={measure.value}
              options={MEASURES}
              onChange={(next) => (measure.value = next)}
            />
            {measure.value !== "mean_intensity" && (
              <NumberField
                label={`Value, in ${unitOf(card)}`}
                min={low}
                max={high}
                step={0.1}
                value={threshold.value}
                onChange={(next) => (threshold.value = next)}
              />
            )}
            <NumberSlider
              label="Samples to measure"
              min={8}
              max={256}
              step={8}
              value={samples.value}
              hint="Each is one forward pass. More samples, a truer direction."
              onInput={(next) => (samples.value = next)}
            />
          </>
        )}
        <Button kind="primary" type="submit" isDisabled={isPosting.value}>
          Make the direction
        </Button>
        {refusal.value && <ProblemNotice problem={refusal.value} />}
      </form>
      <section class="stage" aria-label="New direction">
        {job.value ? (
          <FitStatus id={job.value} model={card.name} />
        ) : (
          <Empty icon="edit" title="A direction of your own">
            <p>
              The service makes samples, measures each, and finds the direction in the latent space along which the
              measurement changes. It then stands among the sliders, with its R² on samples that it was not fitted to.
            </p>
          </Empty>
        )}
      </section>
    </>
  );
}

function FitStatus({ id, model }: { id: string; model: string }) {
  const { record, problem } = useJob(id);
  const state = record?.state;
  useEffect(() => void (state === "succeeded" && loadDirections(model)), [state, model]);
  if (!record) return problem ? <ProblemNotice problem={problem} onRetry={() => retryJob(id)} /> : null;
  const { done, total } = record.progress;
  const { r2, directions: made } = (record.metrics ?? {}) as { r2?: number; directions?: string[] };
  const several = made && made.length > 1 ? made.length : null;
  return (
    <>
      <div class="status" data-testid="fit-status" data-state={record.state}>
        <StateBadge state={record.state} />
        <p class="status-text" role="status">
          <Doing record={record} />
        </p>
        <div class="status-meter">
          {!record.ended_at && <Meter fraction={total > 1 ? done / total : null} label="Progress of the fit" />}
        </div>
        {!record.ended_at && (
          <Button icon="stop" onClick={() => void attempt(() => api.cancelJob(id))}>
            Cancel
          </Button>
        )}
        <a class="button plain" href={formatRoute("jobs", id)}>
          Open the job
        </a>
      </div>
      {record.state === "succeeded" && (
        <p>
          Made{several && ` ${several} directions`}
          {typeof r2 === "number" && <>, with R² {r2.toFixed(2)} on held-out samples</>}.{" "}
          {several ? "They now stand" : "It now stands"} among the{" "}
          <a href={formatRoute("edit", null, { model })}>sliders</a>.
        </p>
      )}
      {record.error && <ProblemNotice problem={asProblem(new Error(record.error.detail))} />}
    </>
  );
}
