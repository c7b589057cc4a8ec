// A word about what just happened, read aloud too, gone after a while.
import { signal } from "@preact/signals";

import { asProblem } from "../api/problem";

const SHOWN_MS = 6000;
const words = signal<{ text: string; isProblem: boolean } | null>(null);
let timer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string, isProblem = false): void {
  words.value = { text, isProblem };
  clearTimeout(timer);
  timer = setTimeout(() => (words.value = null), SHOWN_MS);
}

/** Does something and tells what went wrong. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (fault) {
    const problem = asProblem(fault);
    say(problem.detail ? `${problem.title}. ${problem.detail}` : problem.title, true);
    return false;
  }
}

export function Toast() {
  const shown = words.value;
  return (
    <div class="toasts" role="status" aria-live="polite">
      {shown && <p class={shown.isProblem ? "toast problem" : "toast"}>{shown.text}</p>}
    </div>
  );
}
