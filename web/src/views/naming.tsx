// A job's star and its name, both this browser's alone.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import type { JobRecord } from "../api/types";
import { mark, markOf, MAX_NAME } from "../jobs/marks";
import { Button } from "../ui/controls";

export function Naming({ record }: { record: JobRecord }) {
  const { name = "", hasStar = false } = markOf(record.id);
  const isTyping = useSignal(false);
  return (
    <div class="naming">
      <Button
        kind="quiet"
        icon="star"
        label="Star"
        isPressed={hasStar}
        onClick={() => mark(record.id, { hasStar: !hasStar })}
      />
      {isTyping.value ? (
        <NameField
          name={name}
          onDone={(typed) => {
            if (typed !== null) mark(record.id, { name: typed });
            isTyping.value = false;
          }}
        />
      ) : (
        <button type="button" class="name" title="Name the job" onClick={() => (isTyping.value = true)}>
          {name || <span class="hint">Name it</span>}
        </button>
      )}
    </div>
  );
}

/** `onDone` hears of null where the name is to stay. */
function NameField({ name, onDone }: { name: string; onDone: (typed: string | null) => void }) {
  const field = useRef<HTMLInputElement>(null);
  const isDone = useRef(false);
  useEffect(() => field.current?.select(), []);
  const end = (typed: string | null): void => {
    if (isDone.current) return; // the field loses the focus when it goes
    isDone.current = true;
    onDone(typed === null ? null : typed.trim());
  };
  return (
    <input
      ref={field}
      type="text"
      aria-label="Name of the job"
      maxLength={MAX_NAME}
      defaultValue={name}
      onBlur={(event) => end(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") end(event.currentTarget.value);
        if (event.key === "Escape") end(null);
      }}
    />
  );
}
