// Strip: a job's results as thumbnails, each in its place from the start, so that nothing moves when it arrives.
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { JobRecord, ResultFile } from "../api/types";
import { expected } from "../jobs/kinds";
import { nearestOf, realismOf } from "../jobs/realism";
import { shortNameOf } from "../text/words";
import { Button } from "../ui/controls";
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
  const list = useRef<HTMLUListElement>(null);
  const hidden = useHidden(list, places.length);
  if (places.length === 0) return null;
  return (
    <div class={`strip-frame${hidden.before ? " more-before" : ""}${hidden.after ? " more-after" : ""}`}>
      {(hidden.before || hidden.after) && <Turn list={list} {...hidden} />}
      <ul class="strip" aria-label="Results" ref={list} onScroll={hidden.look}>
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
                {result.realism !== null && (
                  <span class="thumb-score" title={nearestOf(result)}>
                    {realismOf(result)}
                  </span>
                )}
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
    </div>
  );
}

interface Hidden {
  before: boolean;
  after: boolean;
}

/** Whether thumbnails lie beyond the ends of the strip. */
function useHidden(list: RefObject<HTMLUListElement | null>, count: number): Hidden & { look: () => void } {
  const [hidden, setHidden] = useState<Hidden>({ before: false, after: false });
  const look = (): void => {
    const { scrollLeft: left = 0, scrollWidth: whole = 0, clientWidth: seen = 0 } = list.current ?? {};
    const next = { before: left > 1, after: left + seen < whole - 1 };
    setHidden((old) => (old.before === next.before && old.after === next.after ? old : next));
  };
  useEffect(() => {
    look();
    const watch = new ResizeObserver(look);
    if (list.current) watch.observe(list.current);
    return () => watch.disconnect();
  }, [count]);
  return { ...hidden, look };
}

function Turn({ list, before, after }: Hidden & { list: RefObject<HTMLUListElement | null> }) {
  const turn = (pages: number): void =>
    list.current?.scrollBy({ left: pages * 0.8 * list.current.clientWidth, behavior: "smooth" });
  return (
    <div class="strip-turn">
      <Button kind="quiet" icon="left" label="Earlier results" isDisabled={!before} onClick={() => turn(-1)} />
      <Button kind="quiet" icon="right" label="Further results" isDisabled={!after} onClick={() => turn(1)} />
    </div>
  );
}
