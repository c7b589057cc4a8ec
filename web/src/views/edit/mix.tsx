// The coarse styles of one volume with the fine styles of another.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { scanOf } from "../../jobs/scans";
import { Button } from "../../ui/controls";
import { NumberSlider } from "../../ui/numberslider";
import { keyOf, sourceOf, SourcePicker } from "../sourcepicker";
import { EDIT_OUTPUT, onOneGrid, useDriver } from "./driver";
import type { TwoEnds } from "./interpolate";
import { Look, volumeOf } from "./look";

export function Mix({ card, given, start, end, onStart, onEnd }: TwoEnds) {
  const { num_styles: styles } = card.latent;
  const crossover = useSignal(Math.ceil(styles / 2));
  const driver = useDriver();
  const isAsked = useSignal(false);
  const isReady = [start, end].every((place) => place.kind === "seed" || place.job !== "");
  useEffect(() => {
    if (!isReady || !isAsked.value) return;
    const edit = { op: "mix" as const, target: sourceOf(end), crossover: crossover.value };
    driver.ask(async () => ({ model: card.name, source: sourceOf(start), edit, ...given, output: EDIT_OUTPUT }));
  }, [card.name, keyOf(start), keyOf(end), given.class_label, crossover.value, isReady, isAsked.value]);

  const [made] = onOneGrid(driver.results.value);
  return (
    <>
      <div class="fields">
        <SourcePicker label="Coarse styles" model={card.name} value={start} onChange={onStart} />
        <SourcePicker label="Fine styles" model={card.name} value={end} onChange={onEnd} />
        <NumberSlider
          label="Crossover"
          min={0}
          max={styles}
          step={1}
          value={crossover.value}
          text={`${crossover.value} of ${styles} layers`}
          hint="So many layers, from the coarsest, take the first one's styles; the rest take the second one's."
          onInput={(next) => {
            crossover.value = next;
            isAsked.value = true;
          }}
        />
        {!isAsked.value && (
          <Button kind="primary" isDisabled={!isReady} onClick={() => (isAsked.value = true)}>
            Mix
          </Button>
        )}
      </div>
      <section class="stage" aria-label="Mixed volume">
        <Look
          start={null}
          now={volumeOf(made, `Crossover ${crossover.value}`)}
          scan={start.kind === "result" ? scanOf(start.job) : null}
          record={driver.record.value}
          isBusy={driver.isBusy.value}
          problem={driver.problem.value}
        />
      </section>
    </>
  );
}
