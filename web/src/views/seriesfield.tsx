// Which series of a DICOM archive is meant; nothing for other files.
import { isDicom } from "../jobs/scans";
import { Field } from "../ui/controls";

interface SeriesFieldProps {
  file: File | null;
  /** As typed. */
  value: string;
  onChange: (value: string) => void;
}

export function SeriesField({ file, value, onChange }: SeriesFieldProps) {
  if (!isDicom(file)) return null;
  return (
    <Field label="Series" hint="Its number, where the file holds several: without one the service lists them.">
      {(id, hintId) => (
        <input
          id={id}
          type="number"
          inputMode="numeric"
          min={0}
          step={1}
          aria-describedby={hintId}
          value={value}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** For a request about a file. */
export function seriesOf(file: File | null, typed: string): number | null {
  return isDicom(file) && typed !== "" ? Number(typed) : null;
}
