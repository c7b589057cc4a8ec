// Where the page is: one of a few views, and what it shows, in the address after the #, so that every place has a link.
import { signal } from "@preact/signals";

export const VIEWS = ["generate", "encode", "edit", "translate", "models", "jobs"] as const;
export type View = (typeof VIEWS)[number];

export interface Route {
  view: View;
  /** Of `#/jobs/{id}`. */
  job: string | null;
  /** What else the address says: the model, the result that is shown, ... */
  query: Readonly<Record<string, string>>;
}

export function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [first = "", second = ""] = path.split("/").map(decoded);
  const view = VIEWS.find((name) => name === first) ?? "generate";
  const job = view === "jobs" && second !== "" ? second : null;
  return { view, job, query: Object.fromEntries(new URLSearchParams(search)) };
}

export function formatRoute(
  view: View,
  job: string | null = null,
  query: Record<string, string | null | undefined> = {},
): string {
  const kept = Object.entries(query).filter((entry): entry is [string, string] => !!entry[1]);
  const path = job === null ? view : `${view}/${encodeURIComponent(job)}`;
  const search = new URLSearchParams(kept).toString();
  return search ? `#/${path}?${search}` : `#/${path}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal<Route>(parseRoute(typeof location === "undefined" ? "" : location.hash));

export function followAddress(): void {
  addEventListener("hashchange", () => {
    route.value = parseRoute(location.hash);
  });
}

/** The job that the address shows, on its own page or in a view. */
export function jobInAddress(): string | null {
  return route.value.job ?? route.value.query["job"] ?? null;
}

/** Goes there, with a step back in the browser's history. */
export function go(hash: string): void {
  if (location.hash !== hash) location.hash = hash;
}

/** Writes into the address what is on screen, without a step in the history. */
export function note(query: Record<string, string | null>): void {
  const { view, job, query: old } = route.value;
  const hash = formatRoute(view, job, { ...old, ...query });
  if (hash === location.hash) return;
  history.replaceState(null, "", hash);
  route.value = parseRoute(hash);
}
