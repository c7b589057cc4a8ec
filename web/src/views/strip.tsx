// Strip: a job's results as thumbnails, each in its place from the start, so that nothing moves when it arrives.
import type { JobRecord, ResultFile } from "../api/types";
import { isTerminal } from "../api/types";
import { shortNameOf } from "../text/words";
import { Preview } from "../ui/preview";

interface StripProps {
  record: JobRecord;
  selected: string | null;
  compared: string | null;
  onSelect: (result: ResultFile) => void;
}

export function previewOf(record: JobRecord, result: ResultFile): string | null {
  return result.preview ? `/jobs/${record.id}/results/${result.preview}` : null;
}

/** How many results a job will have, as far as its request tells. */
export function expected(record: JobRecord): number {
  if (isTerminal(record.state)) return record.results.length;
  if (record.kind === "fit_direction") return 0;
  if (record.kind === "encode") return record.request["reconstruct"] ? 2 : 0;
  return Math.max(record.progress.total, record.results.length);
}

export function Strip({ record, selected, compared, onSelect }: StripProps) {
  const places = Array.from({ length: expected(record) }, (_, index) => record.results[index] ?? null);
  if (places.length === 0) return null;
  return (
    <ul class="strip" aria-label="Results">
      {places.map((result, index) => (
        <li key={index}>
          {result ? (
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
