// Strip: a job's results as thumbnails, each in its place from the start, so that nothing moves when it arrives.
import type { JobRecord, ResultFile } from "../api/types";
import { expected } from "../jobs/kinds";
import { shortNameOf } from "../text/words";
import { Preview } from "../ui/preview";

interface StripProps {
  /** null: none yet, with room for `count`. */
  record: JobRecord | null;
  count?: number;
  selected: string | null;
  compared: string | null;
  onSelect: (result: ResultFile) => void;
}

export function previewOf(record: JobRecord, result: ResultFile): string | null {
  return result.preview ? `/jobs/${record.id}/results/${result.preview}` : null;
}

export function Strip({ record, count = 0, selected, compared, onSelect }: StripProps) {
  const places = Array.from(
    { length: record ? expected(record) : count },
    (_, index) => record?.results[index] ?? null,
  );
  if (places.length === 0) return null;
  return (
    <ul class="strip" aria-label="Results">
      {places.map((result, index) => (
        <li key={index}>
          {record && result ? (
            <button
              type="button"
              class="thumb"
              aria-pressed={result.name === selected}
              data-compared={result.name === compared}
              onClick={() => onSelect(result)}
            >
              <Preview url={previewOf(record, result)} alt="" />
              <span class="thumb-name">{shortNameOf(result)}</span>
            </button>
          ) : (
            <span class="thumb to-come">
              <span class="preview axial blank" />
              <span class="thumb-name">To come</span>
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}
