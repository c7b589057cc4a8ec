// Every key of the viewer, on `?`.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { Button } from "../ui/controls";
import { KEYS } from "./keys";

/** With its button. The dialog gives the focus back to where it was. */
export function KeyHelp() {
  const dialog = useRef<HTMLDialogElement>(null);
  const isOpen = useSignal(false);
  useEffect(() => {
    const open = (event: KeyboardEvent): void => {
      if (event.key !== "?" || isTyped(event.target) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      isOpen.value = true;
    };
    document.addEventListener("keydown", open, true); // before the image takes the keys for itself
    return () => document.removeEventListener("keydown", open, true);
  }, [isOpen]);
  useEffect(() => {
    if (isOpen.value && !dialog.current?.open) dialog.current?.showModal();
    if (!isOpen.value && dialog.current?.open) dialog.current.close();
  }, [isOpen.value]);
  const close = (): void => {
    isOpen.value = false;
  };
  return (
    <>
      <Button kind="quiet" label="Keys (?)" onClick={() => (isOpen.value = true)}>
        ?
      </Button>
      <dialog ref={dialog} class="keyhelp" aria-labelledby="keyhelp-title" onCancel={close} onClose={close}>
        <h2 id="keyhelp-title">Keys of the viewer</h2>
        <dl>
          {KEYS.map(([keys, what]) => (
            <div key={keys}>
              <dt>{keys}</dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <div class="dialog-actions">
          <Button kind="primary" onClick={close}>
            Close
          </Button>
        </div>
      </dialog>
    </>
  );
}

function isTyped(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !["range", "checkbox", "radio"].includes(target.type))
  );
}
