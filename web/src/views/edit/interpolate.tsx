// From one volume to another, with a scrubber over the way.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import type { ModelCard } from "../../api/types";
import { expected } from "../../jobs/kinds";
import { scanOf } from "../../jobs/scans";
import { Button } from "../../ui/controls";
import { NumberSlider } from "../../ui/numberslider";
import { Strip } from "../strip";
import type { Given } from "../classfield";
import { keyOf, sourceOf, SourcePicker, type Start } from "../sourcepicker";
import { EDIT_OUTPUT, onOneGrid, useDriver } from "./driver";
import { Look, volumeOf } from "./look";

export interface TwoEnds {
  card: ModelCard;
  given: Given;
  start: Start;
  end: Start;
  onStart: (start: Start) => void;
  onEnd: (end: Start) => void;
}

export function Interpolate({ card, given, start, end, onStart, onEnd }: TwoEnds) {
  const steps = useSignal(5);
  const at = useSignal(0);
  const driver = useDriver(0);
  useEffect(() => driver.reset(), [card.name, keyOf(start), keyOf(end)]);

  const run = (): void => {
    at.value = 0;
    driver.reset();
    const edit = { op: "interpolate" as const, target: sourceOf(end), steps: steps.value };
    driver.ask(async () => ({ model: card.name, source: sourceOf(start), edit, ...given, output: EDIT_OUTPUT }));
  };
  const made = onOneGrid(driver.results.value);
  const record = driver.record.value;
  const areTwice = made.length < driver.results.value.length;
  const count = record ? expected(record) / (areTwice ? 2 : 1) : steps.value; // the slider may stand elsewhere by now
  const last = Math.max(0, made.length - 1);
  const shown = Math.min(at.value, last);
  return (
    <>
      <div class="fields">
        <SourcePicker label="From" model={card.name} value={start} onChange={onStart} />
        <SourcePicker label="To" model={card.name} value={end} onChange={onEnd} />
        <NumberSlider
          label="Steps"
          min={2}
          max={16}
          step={1}
          value={steps.value}
          text="ends included"
          onInput={(next) => (steps.value = next)}
        />
        <Button kind="primary" isDisabled={driver.isBusy.value} onClick={run}>
          Interpolate
        </Button>
        <NumberSlider
          label="Scrubber"
          min={1}
          max={Math.max(2, made.length)}
          step={1}
          value={shown + 1}
          text={made.length > 0 ? `${shown + 1} of ${made.length}` : "–"}
          isDisabled={made.length < 2}
          onInput={(next) => (at.value = next - 1)}
        />
      </div>
      <section class="stage" aria-label="Interpolation">
        <Strip
          record={record}
          count={count}
          selected={made[shown]?.result.name ?? null}
          compared={null}
          onSelect={(result) => (at.value = made.findIndex((entry) => entry.result.name === result.name))}
        />
        <Look
          start={volumeOf(made[0], "Step 1")}
          now={volumeOf(made[shown], `Step ${shown + 1} of ${count}`)}
          scan={start.kind === "result" ? scanOf(start.job) : null}
          record={record}
          isBusy={driver.isBusy.value}
          problem={driver.problem.value}
        />
      </section>
    </>
  );
}
