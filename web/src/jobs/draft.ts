// What stands in a form, kept for the tab so that a reload loses nothing.
import { effect, type Signal, signal } from "@preact/signals";

export function draft<T extends object>(name: string, fresh: T): Signal<T> {
  const slot = `voxelsmith.${name}`;
  const kept = signal<T>({ ...fresh, ...stored<T>(slot) });
  effect(() => sessionStorage.setItem(slot, JSON.stringify(kept.value)));
  return kept;
}

function stored<T>(slot: string): Partial<T> {
  try {
    const told: unknown = JSON.parse(sessionStorage.getItem(slot) ?? "{}");
    return typeof told === "object" && told !== null ? (told as Partial<T>) : {};
  } catch {
    return {};
  }
}
