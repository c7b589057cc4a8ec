// The API key: entered once, kept for this tab alone, sent with every call.
import { signal } from "@preact/signals";

const SLOT = "voxelsmith.key";

/** The key in use; empty where the service asks for none. */
export const apiKey = signal(sessionStorage.getItem(SLOT) ?? "");

/** Whether the service refused a call for want of a key, or because of this one. */
export const keyRefusal = signal<string | null>(null);

export function useKey(key: string): void {
  apiKey.value = key.trim();
  keyRefusal.value = null;
  if (apiKey.value) sessionStorage.setItem(SLOT, apiKey.value);
  else sessionStorage.removeItem(SLOT);
}

export function authorization(): Record<string, string> {
  return apiKey.value ? { Authorization: `Bearer ${apiKey.value}` } : {};
}
