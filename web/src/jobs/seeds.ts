// Seeds: thrown by dice, and remembered on this machine so that a good one is found again.
import { signal } from "@preact/signals";

const SLOT = "voxelsmith.seeds";
const KEPT = 8;
/** A seed that a person can read out. */
const SIDES = 1_000_000;

function restored(): number[] {
  try {
    const told: unknown = JSON.parse(localStorage.getItem(SLOT) ?? "[]");
    return Array.isArray(told) ? told.filter((seed): seed is number => Number.isSafeInteger(seed)) : [];
  } catch {
    return [];
  }
}

export const seeds = signal<readonly number[]>(restored());

export function throwDice(): number {
  const word = new Uint32Array(1);
  crypto.getRandomValues(word);
  return (word[0] ?? 0) % SIDES;
}

export function remember(seed: number): void {
  seeds.value = [seed, ...seeds.value.filter((old) => old !== seed)].slice(0, KEPT);
  localStorage.setItem(SLOT, JSON.stringify(seeds.value));
}
