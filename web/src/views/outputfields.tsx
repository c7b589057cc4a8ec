// The file that a volume is written to. What is usual stands; the rest is folded away.
import { WRITTEN } from "../api/formats";
import type { OutputOptions } from "../api/types";
import { isViewable } from "../text/words";
import { Field, Select } from "../ui/controls";

export type Output = Required<Pick<OutputOptions, "format" | "dtype" | "intensity">> &
  Pick<OutputOptions, "grid" | "crop">;
export const USUAL: Output = { format: "nii.gz", dtype: "int16", intensity: "stored" };

/** Of a job's request, what its volumes were to be. */
export function outputOf(old: OutputOptions | undefined): Output {
  const { format, dtype, intensity, grid, crop } = { ...USUAL, ...old };
  return { format, dtype, intensity, ...(grid && { grid }), ...(crop && { crop }) };
}

/** "1 1 2", or "1" for all three; null for what is no voxel size. */
export function spacingFrom(text: string): number[] | null {
  const sizes = text
    .trim()
    .split(/[\s,;x×]+/)
    .map(Number);
  const all = sizes.length === 1 ? [...sizes, ...sizes, ...sizes] : sizes;
  return all.length === 3 && all.every((size) => size > 0 && Number.isFinite(size)) ? all : null;
}

function spacingText({ grid }: Output): string {
  return grid && "spacing_mm" in grid ? grid.spacing_mm.join(" ") : "";
}

/** Without a voxel size that can be read, the grid that was there goes. */
function withSpacing({ grid: _, ...output }: Output, text: string): Output {
  const spacing = spacingFrom(text);
  return spacing ? { ...output, grid: { spacing_mm: spacing } } : output;
}

const FORMATS = WRITTEN.map(
  ([name, title]) => [name, isViewable(`.${name}`) ? title : `${title}, not shown here`] as const,
);
const TYPES = [
  ["int16", "int16"],
  ["uint8", "uint8"],
  ["float32", "float32, never clipped"],
] as const;

export function OutputFields({
  value,
  unit,
  onChange,
}: {
  value: Output;
  unit: string;
  onChange: (output: Output) => void;
}) {
  return (
    <details class="more">
      <summary>File format</summary>
      <div class="fields">
        <Select
          label="Format"
          value={value.format}
          options={FORMATS}
          onChange={(format) => onChange({ ...value, format })}
        />
        <Select
          label="Numbers"
          value={value.dtype}
          options={TYPES}
          onChange={(dtype) => onChange({ ...value, dtype })}
        />
        <Select
          label="Values"
          value={value.intensity}
          options={[
            ["stored", `The model's units (${unit || "stored"})`],
            ["unit", "0 to 1"],
          ]}
          onChange={(intensity) => onChange({ ...value, intensity })}
        />
        <Field label="Voxel size in mm" hint="One number or three: x y z. Empty: as the volumes are made.">
          {(id, hintId) => (
            <input
              id={id}
              aria-describedby={hintId}
              autocomplete="off"
              placeholder="as made"
              value={spacingText(value)}
              onChange={(event) => onChange(withSpacing(value, event.currentTarget.value))}
            />
          )}
        </Field>
      </div>
    </details>
  );
}
