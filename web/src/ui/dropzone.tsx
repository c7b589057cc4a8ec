// A place for a file: dropped, or chosen with the keyboard.
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";

import { bytes } from "../text/words";
import { Icon } from "./icons";
import { say } from "./toast";

const listed = new Intl.ListFormat("en-GB", { type: "disjunction" });

interface DropZoneProps {
  label: string;
  file: File | null;
  /** Of the files that are taken, with their dots. */
  endings: readonly string[];
  onFile: (file: File) => void;
}

export function DropZone({ label, file, endings, onFile }: DropZoneProps) {
  const id = useId();
  const isOver = useSignal(false);
  const take = (files: FileList | null | undefined): void => {
    const given = files?.[0];
    if (!given) return;
    if (endings.some((ending) => given.name.toLowerCase().endsWith(ending))) onFile(given);
    else say(`This is no ${listed.format(endings)} file.`, true);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the input inside does the same by keyboard
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
        accept={endings.join(",")}
        onChange={(event) => take(event.currentTarget.files)}
      />
      <label for={id}>
        <Icon name="upload" />
        <span>
          <strong>{file ? file.name : label}</strong>
          <span class="hint">
            {file ? `${bytes(file.size)}; choose another` : `Drop it here or choose it: ${endings.join(", ")}`}
          </span>
        </span>
      </label>
    </div>
  );
}
