// The coarse styles of one volume with the fine styles of another.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { Slider } from "../../ui/controls";
import { keyOf, sourceOf, SourcePicker } from "../sourcepicker";
import { EDIT_OUTPUT, useDriver } from "./driver";
import type { TwoEnds } from "./interpolate";
import { Look, volumeOf } from "./look";

export function Mix({ card, given, start, end, onStart, onEnd }: TwoEnds) {
  const { num_styles: styles } = card.latent;
  const crossover = useSignal(Math.ceil(styles / 2));
  const driver = useDriver();
  const isReady = [start, end].every((place) => place.kind === "seed" || place.job !== "");
  useEffect(() => {
    if (!isReady) return;
    const edit = { op: "mix" as const, target: sourceOf(end), crossover: crossover.value };
    driver.ask(async () => ({ model: card.name, source: sourceOf(start), edit, ...given, output: EDIT_OUTPUT }));
  }, [card.name, keyOf(start), keyOf(end), given.class_label, crossover.value, isReady]);

  const made = driver.results.value[0];
  return (
    <>
      <div class="fields">
        <SourcePicker label="Coarse styles" model={card.name} value={start} onChange={onStart} />
        <SourcePicker label="Fine styles" model={card.name} value={end} onChange={onEnd} />
        <Slider
          label="Crossover"
          min={0}
          max={styles}
          step={1}
          value={crossover.value}
          text={`${crossover.value} of ${styles} layers`}
          hint="So many layers, from the coarsest, take the first one's styles; the rest take the second one's."
          onInput={(next) => (crossover.value = next)}
        />
      </div>
      <section class="stage" aria-label="Mixed volume">
        <Look
          start={null}
          now={volumeOf(made, `Crossover ${crossover.value}`)}
          record={driver.record.value}
          isBusy={driver.isBusy.value}
          problem={driver.problem.value}
        />
      </section>
    </>
  );
}
