// The service's models and their directions, asked for once and again when something may have changed.
import { effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { api } from "./api/calls";
import { apiKey } from "./api/key";
import { asProblem, isAbort, type Problem } from "./api/problem";
import { persist } from "./api/retry";
import type { AnyCard, AnyModel, Direction, ModelCard, TranslatorCard, Verb } from "./api/types";

export interface Loaded<T> {
  value: T | null;
  problem: Problem | null;
}

export const models = signal<Loaded<AnyModel[]>>({ value: null, problem: null });

let asking = new AbortController();

/** Asks for the models until they come. */
export async function loadModels(): Promise<void> {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const told = (problem: Problem | null): void => {
    models.value = { ...models.value, problem };
  };
  try {
    models.value = { value: await persist(() => api.models(), signal, told), problem: null };
  } catch (fault) {
    if (!isAbort(fault)) models.value = { value: null, problem: asProblem(fault) };
  }
}

/** Asks for one model again: the service looks at its files anew. Throws: Problem. */
export async function checkModel(name: string): Promise<AnyModel> {
  const found = await api.model(name);
  const others = models.value.value ?? [];
  models.value = { ...models.value, value: others.map((model) => (model.name === name ? found : model)) };
  return found;
}

/** Loads the models now and whenever the key changes. */
export function keepModels(): void {
  effect(() => {
    void apiKey.value;
    void loadModels();
  });
}

function cards(): AnyCard[] {
  return (models.value.value ?? []).filter((model): model is AnyCard => model.status === "ready");
}

export function cardOf(name: string | null | undefined): AnyCard | null {
  return cards().find((card) => card.name === name) ?? null;
}

function makesOfLatents(card: AnyCard): card is ModelCard {
  return "latent" in card;
}

/** Those that can do what a view is for, and make volumes of latents. */
export function generators(verb: Verb): ModelCard[] {
  return cards()
    .filter((card) => card.verbs.includes(verb))
    .filter(makesOfLatents);
}

export function translators(): TranslatorCard[] {
  return cards().filter((card): card is TranslatorCard => card.verbs.includes("translate") && !makesOfLatents(card));
}

/** The models that ship, the first one to open with first: a new tab begins with one of them, or the last one used. */
const SHIPPED = ["brain-demo-256", "head-style-128", "thorax-demo-128", "head-t1-128"];
const SLOT = "voxelsmith.models";

/** Remembers the models that were used, the last one first, on this machine. */
export function rememberModel(name: string): void {
  localStorage.setItem(SLOT, JSON.stringify([name, ...usedModels().filter((other) => other !== name)].slice(0, 8)));
}

function usedModels(): string[] {
  try {
    const told: unknown = JSON.parse(localStorage.getItem(SLOT) ?? "[]");
    return Array.isArray(told) ? told.filter((name): name is string => typeof name === "string") : [];
  } catch {
    return [];
  }
}

/** The model of that name among those that suit; else the last one that was used, one that ships, any. */
export function preferred<T extends AnyCard>(suitable: readonly T[], name: string | null): T | null {
  const named = (wanted: string): T | undefined => suitable.find((card) => card.name === wanted);
  const known = [...(name === null ? [] : [name]), ...usedModels(), ...SHIPPED];
  return known.map(named).find((card) => card !== undefined) ?? suitable[0] ?? null;
}

const directions = signal<Readonly<Record<string, Loaded<Direction[]>>>>({});

/** Asks for a model's directions until they come. */
export async function loadDirections(model: string, signal = NEVER): Promise<void> {
  const tell = (found: Loaded<Direction[]>): void => {
    directions.value = { ...directions.value, [model]: found };
  };
  const told = (problem: Problem | null): void => tell({ value: directions.value[model]?.value ?? null, problem });
  try {
    tell({ value: await persist(() => api.directions(model), signal, told), problem: null });
  } catch (fault) {
    if (!isAbort(fault)) tell({ value: null, problem: asProblem(fault) });
  }
}

const NEVER = new AbortController().signal;

export function useDirections(model: string | null): Loaded<Direction[]> {
  useEffect(() => {
    const stop = new AbortController();
    if (model) void loadDirections(model, stop.signal);
    return () => stop.abort();
  }, [model]);
  return (model && directions.value[model]) || { value: null, problem: null };
}
