// The file that a volume is written to. What is usual stands; the rest is folded away.
import { WRITTEN } from "../api/formats";
import type { OutputOptions } from "../api/types";
import { isViewable } from "../text/words";
import { Select } from "../ui/controls";

export type Output = Required<Pick<OutputOptions, "format" | "dtype" | "intensity">>;
export const USUAL: Output = { format: "nii.gz", dtype: "int16", intensity: "stored" };

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
      </div>
    </details>
  );
}
