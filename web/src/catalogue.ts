// The service's models and their directions, asked for once and again when something may have changed.
import { effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { api } from "./api/calls";
import { apiKey } from "./api/key";
import { asProblem, type Problem } from "./api/problem";
import type { AnyModel, Direction, ModelCard } from "./api/types";

export interface Loaded<T> {
  value: T | null;
  problem: Problem | null;
}

export const models = signal<Loaded<AnyModel[]>>({ value: null, problem: null });

export async function loadModels(): Promise<void> {
  try {
    models.value = { value: await api.models(), problem: null };
  } catch (fault) {
    models.value = { value: null, problem: asProblem(fault) };
  }
}

/** Loads the models now and whenever the key changes. */
export function keepModels(): void {
  effect(() => {
    void apiKey.value;
    void loadModels();
  });
}

/** Whether a view can use it: they make volumes of latents, which a translator does not have. */
export function isReady(model: AnyModel): model is ModelCard {
  return model.status === "ready" && model.verbs.includes("generate");
}

export function readyModels(): ModelCard[] {
  return (models.value.value ?? []).filter(isReady);
}

export function cardOf(name: string | null | undefined): ModelCard | null {
  return readyModels().find((card) => card.name === name) ?? null;
}

const directions = signal<Readonly<Record<string, Loaded<Direction[]>>>>({});

export async function loadDirections(model: string): Promise<void> {
  let found: Loaded<Direction[]>;
  try {
    found = { value: await api.directions(model), problem: null };
  } catch (fault) {
    found = { value: null, problem: asProblem(fault) };
  }
  directions.value = { ...directions.value, [model]: found };
}

export function useDirections(model: string | null): Loaded<Direction[]> {
  useEffect(() => {
    if (model) void loadDirections(model);
  }, [model]);
  return (model && directions.value[model]) || { value: null, problem: null };
}
