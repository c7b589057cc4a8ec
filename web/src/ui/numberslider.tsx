// A slider with its number beside it: dragged or typed, it is the same value.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

import { Field, SliderAside, taken } from "./controls";

interface NumberSliderProps {
  label: string;
  value: number;
  min: number;
  max: number;
  /** Of the slider. What is typed may lie between two steps, unless these are whole numbers. */
  step: number;
  /** What the value means, where that is more than the number. */
  text?: string;
  hint?: ComponentChildren;
  isDisabled?: boolean;
  /** With every move, and with every number that is typed to its end. */
  onInput: (value: number) => void;
  onReset?: () => void;
}

export function NumberSlider(props: NumberSliderProps) {
  const { label, value, min, max, step, text, hint, isDisabled = false, onInput, onReset } = props;
  const bounds = useId();
  const limits = { min, max, step };
  const aside = <SliderAside {...{ label, text, isDisabled, onReset }} />;
  return (
    <Field label={label} hint={hint} aside={aside}>
      {(id, hintId) => (
        <div class="slider">
          <input
            id={id}
            type="range"
            aria-describedby={hintId}
            aria-valuetext={text ?? shown(value)}
            {...limits}
            value={value}
            disabled={isDisabled}
            onInput={(event) => onInput(event.currentTarget.valueAsNumber)}
          />
          <input
            type="number"
            inputMode="decimal"
            aria-label={`Number for ${label}`}
            aria-describedby={bounds}
            min={min}
            max={max}
            step={Number.isInteger(step) ? 1 : "any"}
            value={shown(value)}
            disabled={isDisabled}
            onChange={(event) => {
              const number = taken(event.currentTarget.valueAsNumber, limits);
              event.currentTarget.value = shown(value);
              if (number !== null) onInput(number);
            }}
          />
          <span class="slider-ends" id={bounds}>
            <span>{signed(min)}</span>
            <span class="unseen"> to </span>
            <span>{signed(max)}</span>
          </span>
        </div>
      )}
    </Field>
  );
}

/** Without the digits that only the arithmetic has. */
function shown(value: number): string {
  return String(Number(value.toFixed(4)));
}

function signed(value: number): string {
  return shown(value).replace("-", "−");
}
