// A place for a file: dropped, or chosen with the keyboard.
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";

import { ENDINGS, ENDINGS_TOLD, isScan } from "../jobs/scans";
import { bytes } from "../text/words";
import { Icon } from "./icons";
import { say } from "./toast";

interface DropZoneProps {
  label: string;
  file: File | null;
  onFile: (file: File) => void;
}

export function DropZone({ label, file, onFile }: DropZoneProps) {
  const id = useId();
  const isOver = useSignal(false);
  const take = (files: FileList | null | undefined): void => {
    const given = files?.[0];
    if (!given) return;
    if (isScan(given)) onFile(given);
    else say(`This is none of the files that are read: ${ENDINGS_TOLD}.`, true);
  };
  return (
    <div
      class={`drop${isOver.value ? " is-over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave={() => (isOver.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        isOver.value = false;
        take(event.dataTransfer?.files);
      }}
    >
      <input
        id={id}
        class="unseen"
        type="file"
        accept={ENDINGS}
        onChange={(event) => take(event.currentTarget.files)}
      />
      <label for={id}>
        <Icon name="upload" />
        <span>
          <strong>{file ? file.name : label}</strong>
          <span class="hint">
            {file ? `${bytes(file.size)}; choose another` : `Drop it here or choose it: ${ENDINGS_TOLD}`}
          </span>
        </span>
      </label>
    </div>
  );
}
