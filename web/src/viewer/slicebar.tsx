// One slider for each plane, with the slice's number to type: the cursor's place by slices.
import { useId } from "preact/hooks";

import type { Axis } from "./moves";
import type { Stage } from "./stage";
import { spokenAlong } from "./readout";

const PLANES: readonly (readonly [Axis, string])[] = [
  [2, "Axial"],
  [1, "Coronal"],
  [0, "Sagittal"],
];

export function SliceBar({ stage }: { stage: Stage }) {
  return (
    <fieldset class="slices" disabled={stage.slices.value === null}>
      <legend class="unseen">Slices</legend>
      {PLANES.map(([axis, name]) => (
        <SliceSlider key={name} stage={stage} axis={axis} name={name} />
      ))}
    </fieldset>
  );
}

function SliceSlider({ stage, axis, name }: { stage: Stage; axis: Axis; name: string }) {
  const id = useId();
  const slices = stage.slices.value;
  const count = slices?.of[axis] ?? 1;
  const slice = slices ? slices.at[axis] + 1 : 1;
  const mm = stage.cursor.value?.mm[axis] ?? 0;
  return (
    <div class="knob">
      <label for={id}>{name}</label>
      <input
        id={id}
        type="range"
        min={1}
        max={count}
        step={1}
        value={slice}
        aria-valuetext={`Slice ${slice} of ${count}, ${spokenAlong(axis, mm)} mm`}
        onInput={(event) => stage.goToSlice(axis, event.currentTarget.valueAsNumber - 1)}
      />
      <span class="typed">
        <input
          type="number"
          min={1}
          max={count}
          step={1}
          aria-label={`${name} slice, of ${count}`}
          value={slices ? slice : ""}
          onChange={(event) => {
            const typed = Math.round(event.currentTarget.valueAsNumber);
            if (Number.isFinite(typed)) stage.goToSlice(axis, typed - 1);
            event.currentTarget.value = String((stage.slices.value?.at[axis] ?? 0) + 1);
          }}
        />
        <span class="of" aria-hidden="true">
          / {count}
        </span>
      </span>
    </div>
  );
}
