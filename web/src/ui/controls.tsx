// The small parts that all views are made of. Labels are real labels; nothing is told by colour alone.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

import { Icon, type IconName } from "./icons";

interface ButtonProps {
  children?: ComponentChildren;
  icon?: IconName;
  /** The name where there is no text. */
  label?: string;
  kind?: "primary" | "plain" | "quiet" | "danger";
  type?: "button" | "submit";
  isDisabled?: boolean;
  isPressed?: boolean;
  onClick?: (event: MouseEvent) => void;
}

export function Button({
  children,
  icon,
  label,
  kind = "plain",
  type = "button",
  isDisabled,
  isPressed,
  onClick,
}: ButtonProps) {
  return (
    <button
      type={type}
      class={`button ${kind}${children ? "" : " square"}`}
      aria-label={label}
      title={label}
      aria-pressed={isPressed}
      disabled={isDisabled}
      onClick={onClick}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  aside?: ComponentChildren;
  children: (id: string, hintId: string | undefined) => ComponentChildren;
}

export function Field({ label, hint, aside, children }: FieldProps) {
  const id = useId();
  const hintId = hint ? `${id}-hint` : undefined;
  return (
    <div class="field">
      <div class="field-head">
        <label for={id}>{label}</label>
        {aside}
      </div>
      {children(id, hintId)}
      {hint && (
        <p class="hint" id={hintId}>
          {hint}
        </p>
      )}
    </div>
  );
}

interface SelectProps<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  hint?: ComponentChildren;
  isDisabled?: boolean;
  onChange: (value: T) => void;
}

export function Select<T extends string>({ label, value, options, hint, isDisabled, onChange }: SelectProps<T>) {
  return (
    <Field label={label} hint={hint}>
      {(id, hintId) => (
        <select
          id={id}
          aria-describedby={hintId}
          disabled={isDisabled}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value as T)}
        >
          {options.map(([name, text]) => (
            <option key={name} value={name} selected={name === value}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface SliderProps {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  text: string;
  hint?: ComponentChildren;
  isDisabled?: boolean;
  /** With every move. */
  onInput: (value: number) => void;
  onReset?: () => void;
}

type SliderAsideProps = Pick<SliderProps, "label" | "isDisabled" | "onReset"> & { text?: string };

/** Over a slider: what its value means, and the way back. */
export function SliderAside({ label, text, isDisabled = false, onReset }: SliderAsideProps) {
  return (
    <span class="field-aside">
      {text && <output class="figure">{text}</output>}
      {onReset && (
        <Button kind="quiet" icon="reset" label={`Reset ${label}`} isDisabled={isDisabled} onClick={onReset} />
      )}
    </span>
  );
}

export function Slider({ label, value, min, max, step, text, hint, isDisabled, onInput, onReset }: SliderProps) {
  const aside = <SliderAside {...{ label, text, isDisabled, onReset }} />;
  return (
    <Field label={label} hint={hint} aside={aside}>
      {(id, hintId) => (
        <input
          id={id}
          type="range"
          aria-describedby={hintId}
          aria-valuetext={text}
          {...{ min, max, step, value }}
          disabled={isDisabled}
          onInput={(event) => onInput(event.currentTarget.valueAsNumber)}
        />
      )}
    </Field>
  );
}

/** The number that is meant by what was typed: within the bounds, whole where the steps are; null where it is none. */
export function taken(typed: number, { min, max, step }: { min: number; max: number; step: number }): number | null {
  if (!Number.isFinite(typed)) return null;
  return Math.min(max, Math.max(min, Number.isInteger(step) ? Math.round(typed) : typed));
}

interface NumberFieldProps {
  label: string;
  value: number;
  min: number;
  max: number;
  step?: number;
  hint?: ComponentChildren;
  isDisabled?: boolean;
  after?: ComponentChildren;
  onChange: (value: number) => void;
}

/** A number that is taken when it is one, and within its limits. */
export function NumberField({ label, value, min, max, step = 1, hint, isDisabled, after, onChange }: NumberFieldProps) {
  return (
    <Field label={label} hint={hint}>
      {(id, hintId) => (
        <div class="joined">
          <input
            id={id}
            type="number"
            inputMode="decimal"
            aria-describedby={hintId}
            {...{ min, max, step, value }}
            disabled={isDisabled}
            onChange={(event) => {
              const number = taken(event.currentTarget.valueAsNumber, { min, max, step });
              if (number !== null) onChange(number);
              event.currentTarget.value = String(value);
            }}
          />
          {after}
        </div>
      )}
    </Field>
  );
}

export function Check({
  label,
  isOn,
  hint,
  onChange,
}: {
  label: string;
  isOn: boolean;
  hint?: string;
  onChange: (isOn: boolean) => void;
}) {
  const id = useId();
  return (
    <div class="check">
      <input id={id} type="checkbox" checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} />
      <label for={id}>
        {label}
        {hint && <span class="hint">{hint}</span>}
      </label>
    </div>
  );
}

interface SegmentsProps<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}

/** A choice of few, all in view. */
export function Segments<T extends string>({ label, value, options, onChange }: SegmentsProps<T>) {
  const name = useId();
  return (
    <fieldset class="segments">
      <legend class="unseen">{label}</legend>
      {options.map(([key, text]) => (
        <label key={key} class={key === value ? "is-on" : ""}>
          <input type="radio" name={name} value={key} checked={key === value} onChange={() => onChange(key)} />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function Meter({ fraction, label }: { fraction: number | null; label: string }) {
  return <progress class="meter" aria-label={label} {...(fraction === null ? {} : { value: fraction, max: 1 })} />;
}
