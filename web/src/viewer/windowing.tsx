// Window and level, in the volume's own units. The same as dragging with the right button on the image.
import { useId } from "preact/hooks";

import { Button } from "../ui/controls";
import { figure } from "../text/words";
import type { Intensities, Range } from "./pane";
import type { Shown, Stage } from "./stage";

export function Windowing({ stage, first, second }: { stage: Stage; first: Shown | null; second: Shown | null }) {
  const isShared = !second || first?.scale === second.scale;
  return (
    <div class="windowing">
      <Knobs stage={stage} index={0} unit={first?.unit ?? ""} of={isShared ? "" : "left"} />
      {!isShared && <Knobs stage={stage} index={1} unit={second.unit} of="right" />}
    </div>
  );
}

function Knobs({ stage, index, unit, of }: { stage: Stage; index: 0 | 1; unit: string; of: string }) {
  const range = stage.slots[index].range.value;
  const limits = range ?? { low: 0, high: 1, own: { low: 0, high: 1 }, min: 0, max: 1 };
  const { width, level } = asWindow(limits);
  const span = Math.max(limits.max - limits.min, limits.own.high - limits.own.low);
  const set = (next: Intensities): void => stage.setRange(index, next);
  return (
    <fieldset class="knobs" disabled={!range}>
      <legend class="unseen">{`Window ${of}`.trim()}</legend>
      <Knob
        label="Window"
        value={width}
        min={span / 200}
        max={span * 1.25}
        unit={unit}
        isKnown={range !== null}
        onInput={(value) => set(fromWindow(value, level))}
      />
      <Knob
        label="Level"
        value={level}
        min={limits.min}
        max={limits.max}
        unit={unit}
        isKnown={range !== null}
        onInput={(value) => set(fromWindow(width, value))}
      />
      <Button
        kind="quiet"
        icon="reset"
        label={`Window of the file ${of}`.trim()}
        isDisabled={!range}
        onClick={() => set(limits.own)}
      />
    </fieldset>
  );
}

interface KnobProps {
  label: string;
  value: number;
  min: number;
  max: number;
  unit: string;
  isKnown: boolean;
  onInput: (value: number) => void;
}

function Knob({ label, value, min, max, unit, isKnown, onInput }: KnobProps) {
  const id = useId();
  const text = isKnown ? `${figure(value)} ${unit}`.trim() : "–";
  return (
    <div class="knob">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="range"
        {...{ min, max, value }}
        step={(max - min) / 400 || 1}
        aria-valuetext={text}
        onInput={(event) => onInput(event.currentTarget.valueAsNumber)}
      />
      <output class="figure" for={id}>
        {text}
      </output>
    </div>
  );
}

export function asWindow({ low, high }: Pick<Range, "low" | "high">): { width: number; level: number } {
  return { width: high - low, level: (high + low) / 2 };
}

export function fromWindow(width: number, level: number): Intensities {
  return { low: level - width / 2, high: level + width / 2 };
}
