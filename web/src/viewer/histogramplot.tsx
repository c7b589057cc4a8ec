// The volume's values as a histogram, and the window over it: its two edges are sliders, for hand and keyboard.
import { useMemo } from "preact/hooks";

import { figure } from "../text/words";
import { bars, type Histogram } from "./histogram";
import type { Intensities, Range } from "./pane";

const COLUMNS = 128;
const HEIGHT = 40;

interface HistogramPlotProps {
  counted: Histogram | null;
  range: Range;
  unit: string;
  onChange: (range: Intensities) => void;
}

export function HistogramPlot({ counted, range, unit, onChange }: HistogramPlotProps) {
  const min = counted?.min ?? range.min;
  const max = counted?.max ?? range.max;
  const outline = useMemo(() => (counted ? outlineOf(bars(counted, COLUMNS)) : ""), [counted]);
  const least = (max - min) / 1000;
  const column = (value: number): number => {
    const share = max > min ? (value - min) / (max - min) : 0;
    return COLUMNS * Math.min(1, Math.max(0, share));
  };
  const low = column(range.low);
  const high = column(range.high);
  return (
    <div class="histogram" data-testid="histogram" data-counted={counted !== null}>
      <svg viewBox={`0 0 ${COLUMNS} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <path class="histogram-bars" d={outline} />
        <rect class="histogram-outside" x="0" y="0" width={low} height={HEIGHT} />
        <rect class="histogram-outside" x={high} y="0" width={COLUMNS - high} height={HEIGHT} />
        <path class="histogram-ramp" d={`M${low} ${HEIGHT}L${high} 0`} />
      </svg>
      <Edge
        label="Lower end"
        value={range.low}
        {...{ min, max, unit }}
        onInput={(value) => onChange({ low: Math.min(value, range.high - least), high: range.high })}
      />
      <Edge
        label="Upper end"
        value={range.high}
        {...{ min, max, unit }}
        onInput={(value) => onChange({ low: range.low, high: Math.max(value, range.low + least) })}
      />
    </div>
  );
}

interface EdgeProps {
  label: string;
  value: number;
  min: number;
  max: number;
  unit: string;
  onInput: (value: number) => void;
}

function Edge({ label, value, min, max, unit, onInput }: EdgeProps) {
  return (
    <input
      class="edge"
      type="range"
      aria-label={label}
      title={label}
      aria-valuetext={`${figure(value)} ${unit}`.trim()}
      {...{ min, max, value }}
      step={(max - min) / 500 || 1}
      onInput={(event) => onInput(event.currentTarget.valueAsNumber)}
    />
  );
}

/** The bars as one line along their tops. */
function outlineOf(heights: readonly number[]): string {
  const tops = heights.map((height, k) => {
    const y = ((1 - height) * HEIGHT).toFixed(1);
    return `L${k} ${y}H${k + 1}`;
  });
  return `M0 ${HEIGHT}${tops.join("")}V${HEIGHT}Z`;
}
