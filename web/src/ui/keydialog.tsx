// Asks for the API key when the service wants one, or when the person does.
import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { apiKey, dismissRefusal, keyRefusal, useKey } from "../api/key";
import { Button, Field } from "./controls";

const isOpen = signal(false);
effect(() => {
  if (keyRefusal.value) isOpen.value = true;
});

export function KeyButton() {
  return (
    <Button
      kind="quiet"
      icon="key"
      label={apiKey.value ? "API key: in use" : "API key"}
      isPressed={apiKey.value !== ""}
      onClick={() => (isOpen.value = true)}
    />
  );
}

export function KeyDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (isOpen.value && !dialog.current?.open) dialog.current?.showModal();
    if (!isOpen.value && dialog.current?.open) dialog.current.close();
  }, [isOpen.value]);

  const take = (event: SubmitEvent): void => {
    event.preventDefault();
    useKey(input.current?.value ?? "");
    if (input.current) input.current.value = "";
    isOpen.value = false;
  };
  const cancel = (): void => {
    dismissRefusal();
    isOpen.value = false;
  };
  // Not on "close", which comes late: by then a refusal may have opened the dialog again.
  return (
    <dialog ref={dialog} aria-labelledby="key-title" onCancel={cancel}>
      <form onSubmit={take}>
        <h2 id="key-title">API key</h2>
        {keyRefusal.value && (
          <p class="caution" role="alert">
            {keyRefusal.value}
          </p>
        )}
        <Field
          label="Key"
          hint="Kept for this tab alone; it goes when the tab is closed. A service on this machine may need none."
        >
          {(id, hintId) => (
            <input
              id={id}
              ref={input}
              type="password"
              autocomplete="off"
              spellcheck={false}
              aria-describedby={hintId}
            />
          )}
        </Field>
        <div class="dialog-actions">
          {apiKey.value && (
            <Button
              kind="danger"
              onClick={() => {
                useKey("");
                isOpen.value = false;
              }}
            >
              Forget the key
            </Button>
          )}
          <Button onClick={cancel}>Cancel</Button>
          <Button kind="primary" type="submit">
            Use the key
          </Button>
        </div>
      </form>
    </dialog>
  );
}
