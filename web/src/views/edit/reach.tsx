// A value of the attribute to go to, in its own units, and how far that was.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import type { Direction } from "../../api/types";
import { deviations } from "../../jobs/directions";
import { figure, titled } from "../../text/words";
import { Button, Field } from "../../ui/controls";

/** What the service did to reach a value. */
export interface Walk {
  job: string;
  name: string;
  value: number;
  strength: number;
}

interface ReachProps {
  direction: Direction;
  /** Once it is made. */
  start: { predict: (direction: Direction) => Promise<number | null> } | null;
  walk: Walk | null;
  onReach: (value: number) => void;
}

export function Reach({ direction, start, walk, onReach }: ReachProps) {
  const { attribute, units } = direction;
  const typed = useSignal("");
  const isOpen = useSignal(false);
  const own = useSignal<number | null>(null);
  useEffect(() => {
    own.value = null;
    if (!start || !isOpen.value) return;
    let isCurrent = true;
    start.predict(direction).then(
      (value) => {
        if (isCurrent) own.value = value;
      },
      () => undefined, // the field does without
    );
    return () => {
      isCurrent = false;
    };
  }, [start, isOpen.value]);
  const value = Number(typed.value);
  const isNumber = typed.value.trim() !== "" && Number.isFinite(value);
  const go = (): void => {
    if (isNumber) onReach(value);
  };
  return (
    <details class="more" onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>To a value</summary>
      <Field
        label={`${titled(attribute || "attribute")}${units && `, ${units}`}`}
        hint={told(own.value, walk, units) || "As the direction predicts it; the slider follows."}
      >
        {(id, hintId) => (
          <div class="joined">
            <input
              id={id}
              type="number"
              inputMode="decimal"
              step="any"
              aria-describedby={hintId}
              value={typed.value}
              onInput={(event) => (typed.value = event.currentTarget.value)}
              onKeyDown={(event) => {
                if (event.key === "Enter") go();
              }}
            />
            <Button isDisabled={!isNumber} onClick={go}>
              Go there
            </Button>
          </div>
        )}
      </Field>
    </details>
  );
}

function told(own: number | null, walk: Walk | null, units: string): string {
  const start = own === null ? "" : `Predicted of the start: ${figure(own)} ${units}`.trim();
  const way = walk && `${figure(walk.value)} ${units}`.trim();
  return [start, way && `${way} lies ${deviations(walk.strength)} away`].filter(Boolean).join("; ");
}
