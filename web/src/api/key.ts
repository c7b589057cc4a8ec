// The API key: entered once, kept for this tab alone, sent with every call.
import { signal } from "@preact/signals";

import type { ProblemDocument } from "./types";

const SLOT = "voxelsmith.key";

/** The key in use; empty where the service asks for none. */
export const apiKey = signal(sessionStorage.getItem(SLOT) ?? "");

/** Why the service refused a call: for want of a key, or because of this one. */
export const keyRefusal = signal<string | null>(null);

/** How often the person has entered a key or waved the question away. */
let answers = 0;

export function useKey(key: string): void {
  dismissRefusal();
  apiKey.value = key.trim();
  if (apiKey.value) sessionStorage.setItem(SLOT, apiKey.value);
  else sessionStorage.removeItem(SLOT);
}

/** What is refused from now on is news again, also in the same words. */
export function dismissRefusal(): void {
  answers += 1;
  keyRefusal.value = null;
}

/** `fetch` with the key. A refusal of the key is told, unless the person has answered since the call was made. */
export async function keyedFetch(input: string | Request, init: RequestInit = {}): Promise<Response> {
  const before = answers;
  const headers = new Headers(input instanceof Request ? input.headers : init.headers);
  if (apiKey.value) headers.set("Authorization", `Bearer ${apiKey.value}`);
  const answer = await fetch(input, { ...init, headers });
  if (answer.status === 401) {
    const told = (await answer
      .clone()
      .json()
      .catch(() => ({}))) as Partial<ProblemDocument>;
    if (before === answers) keyRefusal.value = told.detail || told.title || "The service asks for a key.";
  }
  return answer;
}
