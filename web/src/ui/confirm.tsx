// Asks before something is gone for good.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { Button } from "./controls";

interface Question {
  title: string;
  detail: string;
  yes: string;
  answer: (isSure: boolean) => void;
}

const question = signal<Question | null>(null);

export function confirmed(title: string, detail: string, yes: string): Promise<boolean> {
  return new Promise((answer) => (question.value = { title, detail, yes, answer }));
}

export function Confirm() {
  const dialog = useRef<HTMLDialogElement>(null);
  const asked = question.value;
  useEffect(() => {
    if (asked) dialog.current?.showModal();
    else dialog.current?.close();
  }, [asked]);
  const close = (isSure: boolean): void => {
    question.value = null;
    asked?.answer(isSure);
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby="confirm-title"
      aria-describedby="confirm-detail"
      onCancel={() => close(false)}
    >
      <form method="dialog" onSubmit={(event) => event.preventDefault()}>
        <h2 id="confirm-title">{asked?.title}</h2>
        <p id="confirm-detail">{asked?.detail}</p>
        <div class="dialog-actions">
          <Button onClick={() => close(false)}>Keep</Button>
          <Button kind="danger" onClick={() => close(true)}>
            {asked?.yes}
          </Button>
        </div>
      </form>
    </dialog>
  );
}
