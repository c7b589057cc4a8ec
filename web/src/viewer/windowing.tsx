// The window, in the volume's own units: by name, by numbers, by sliders, or by its edges in the histogram; and the colours.
// The same as dragging with the right button on the image.
import { useId } from "preact/hooks";

import { Button } from "../ui/controls";
import { figure } from "../text/words";
import { type ColourMap, COLOUR_MAPS } from "./colours";
import { HistogramPlot } from "./histogramplot";
import type { Intensities, Range } from "./pane";
import { hounsfield, presetAt, presetsOf } from "./presets";
import type { Shown, Stage } from "./stage";

export function Windowing({ stage, first, second }: { stage: Stage; first: Shown | null; second: Shown | null }) {
  const isShared = !second || first?.scale === second.scale;
  return (
    <div class="windowing">
      <Knobs stage={stage} index={0} shown={first} of={isShared ? "" : (first?.title ?? "")} />
      {!isShared && <Knobs stage={stage} index={1} shown={second} of={second.title} />}
    </div>
  );
}

interface KnobsProps {
  stage: Stage;
  index: 0 | 1;
  shown: Shown | null;
  /** What it is the window of, where there are two. */
  of: string;
}

function Knobs({ stage, index, shown, of }: KnobsProps) {
  const slot = stage.slots[index];
  const range = slot.range.value;
  const unit = shown?.unit ?? "";
  const limits = range ?? { low: 0, high: 1, own: { low: 0, high: 1 }, min: 0, max: 1 };
  const { width, level } = asWindow(limits);
  const span = Math.max(limits.max - limits.min, limits.own.high - limits.own.low);
  const set = (next: Intensities): void => stage.setRange(index, next);
  return (
    <fieldset class="knobs" disabled={!range}>
      <legend class="unseen">{of ? `Window of ${of}` : "Window"}</legend>
      <HistogramPlot counted={slot.counted.value} range={limits} unit={unit} onChange={set} />
      <div class="knob-row choices">
        {of && (
          <span class="knobs-of" title={of}>
            {of}
          </span>
        )}
        <PresetChoice stage={stage} index={index} limits={limits} unit={unit} />
        <ColourChoice value={slot.colours.value} onChange={(colours) => stage.setColours(index, colours)} />
        <Button
          kind="quiet"
          icon="reset"
          label={of ? `Window of the file: ${of}` : "Window of the file"}
          isDisabled={!range}
          onClick={() => set(limits.own)}
        />
      </div>
      <div class="knob-row">
        <Knob
          label="Window"
          value={width}
          min={span / 200}
          max={span * 1.25}
          unit={unit}
          isKnown={range !== null}
          onInput={(value) => set(fromWindow(Math.max(value, span / 10_000), level))}
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
      </div>
    </fieldset>
  );
}

const OTHER = "other";

interface PresetChoiceProps {
  stage: Stage;
  index: 0 | 1;
  limits: Range;
  unit: string;
}

function PresetChoice({ stage, index, limits, unit }: PresetChoiceProps) {
  const id = useId();
  const sort = hounsfield(unit, limits.min, limits.max);
  const presets = presetsOf(limits.own, stage.slots[index].counted.value, sort !== "no");
  const value = presetAt(limits, presets) ?? OTHER;
  const option = ({ key, name, window }: (typeof presets)[number]) => (
    <option key={key} value={key} disabled={!window} selected={key === value}>
      {name}
    </option>
  );
  return (
    <div class="knob-choice wide">
      <label for={id}>Preset</label>
      <select
        id={id}
        value={value}
        onChange={(event) => {
          const window = presets.find(({ key }) => key === event.currentTarget.value)?.window;
          if (window) stage.setRange(index, window);
        }}
      >
        {value === OTHER && (
          <option value={OTHER} selected>
            As set
          </option>
        )}
        {presets.filter(({ isCt }) => !isCt).map(option)}
        {sort !== "no" && (
          <optgroup label={sort === "told" ? "CT, HU" : "CT, if the values are HU"}>
            {presets.filter(({ isCt }) => isCt).map(option)}
          </optgroup>
        )}
      </select>
    </div>
  );
}

function ColourChoice({ value, onChange }: { value: ColourMap; onChange: (colours: ColourMap) => void }) {
  const id = useId();
  return (
    <div class="knob-choice">
      <label for={id}>Colours</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value as ColourMap)}>
        {COLOUR_MAPS.map(([key, name]) => (
          <option key={key} value={key} selected={key === value}>
            {name}
          </option>
        ))}
      </select>
    </div>
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
      <Typed label={`${label}, typed`} value={isKnown ? value : null} unit={unit} onChange={onInput} />
    </div>
  );
}

interface TypedProps {
  label: string;
  value: number | null;
  unit: string;
  onChange: (value: number) => void;
}

/** A number with its unit, taken when the hand leaves it or presses Enter. */
function Typed({ label, value, unit, onChange }: TypedProps) {
  const text = value === null ? "" : rounded(value);
  return (
    <span class="typed">
      <input
        type="number"
        step="any"
        aria-label={unit ? `${label}, ${unit}` : label}
        value={text}
        onChange={(event) => {
          const typed = event.currentTarget.valueAsNumber;
          if (Number.isFinite(typed)) onChange(typed);
          else event.currentTarget.value = text;
        }}
      />
      <span aria-hidden="true">{unit}</span>
    </span>
  );
}

/** As `figure` rounds, without the thousands' commas. */
function rounded(value: number): string {
  const size = Math.abs(value);
  return String(Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)));
}

export function asWindow({ low, high }: Pick<Range, "low" | "high">): { width: number; level: number } {
  return { width: high - low, level: (high + low) / 2 };
}

export function fromWindow(width: number, level: number): Intensities {
  return { low: level - width / 2, high: level + width / 2 };
}
