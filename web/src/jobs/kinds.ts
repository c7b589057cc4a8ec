// What sets the kinds of job apart, in one table: a new kind is a row here and a view. All else is read from the record.
import { isTerminal, type JobKind, type JobRecord } from "../api/types";
import { formatRoute } from "../route";
import { volumes } from "../text/words";

type Request = JobRecord["request"];

interface Kind {
  name: string;
  /** What was asked, in few words; `made` is what came of it. */
  summary: (request: Request, made: string) => string;
  /** Where its request can be changed and sent again. */
  repeat: (record: JobRecord) => string;
  /** Where its request is posted to. */
  path: (record: JobRecord) => string;
  /** The field that holds what is posted, where that is not the whole request. */
  body: string | null;
  /** Whether it is made of a scan, which is sent along and to which the results are compared. */
  takesScan: boolean;
  makesVolumes: boolean;
  /** Whether the scan comes back in other values, so that its edges can be compared and not its intensities. */
  changesAppearance: boolean;
  /** The file of the latent that it is for: one for the job, whatever else was made of it. */
  latents: string | null;
}

const VOLUMES = { body: null, takesScan: false, makesVolumes: true, changesAppearance: false, latents: null } as const;

const KINDS: Record<JobKind, Kind> = {
  generate: {
    ...VOLUMES,
    name: "Generate",
    summary: ({ seed }, made) => listing(made, `seed ${String(seed ?? "listed")}`),
    repeat: ({ id }) => formatRoute("generate", null, { from: id }),
    path: () => "/generate",
  },
  encode: {
    ...VOLUMES,
    name: "Encode",
    summary: () => "a scan to its latent",
    repeat: ({ id }) => formatRoute("encode", null, { from: id }),
    path: () => "/encode",
    takesScan: true,
    latents: "latents.npy",
  },
  edit: {
    ...VOLUMES,
    name: "Edit",
    summary: ({ edit }, made) => listing(told(edit, "direction") ?? told(edit, "op") ?? "edit", made),
    repeat: ({ id }) => formatRoute("edit", null, { from: id }),
    path: () => "/edit",
  },
  translate: {
    ...VOLUMES,
    name: "Translate",
    summary: () => "a scan in another appearance",
    repeat: ({ id }) => formatRoute("translate", null, { from: id }),
    path: () => "/translate",
    takesScan: true,
    changesAppearance: true,
  },
  fit_direction: {
    ...VOLUMES,
    name: "Fit direction",
    summary: ({ fit }) => told(fit, "name") ?? "directions",
    repeat: ({ model }) => formatRoute("edit", null, { tab: "new", model }),
    path: ({ model }) => `/models/${model}/directions`,
    body: "fit",
    makesVolumes: false,
  },
};

export const KIND_NAMES: readonly (readonly [string, string])[] = Object.entries(KINDS).map(([kind, { name }]) => [
  kind,
  name,
]);

export function kindOf(record: JobRecord): Kind {
  return KINDS[record.kind];
}

export function summary(record: JobRecord): string {
  const made = record.results.length > 0 ? volumes(record.results.length) : "";
  return kindOf(record).summary(record.request, made);
}

/** How many volumes a job has or will have: the record tells from its acceptance on, so that each has its place. */
export function expected(record: JobRecord): number {
  if (isTerminal(record.state)) return record.results.length;
  return Math.max(record.volumes, record.results.length);
}

/** Whether the scan has to be sent along: it is not the result of an earlier job. */
export function isUpload(record: JobRecord): boolean {
  return kindOf(record).takesScan && !record.request["source"];
}

/** The job whose scan a record's volumes lie on: its own, or the encoding that it edits. */
export function scanJobOf(record: JobRecord): string | null {
  if (isUpload(record)) return record.id;
  const source = record.request["source"] as { job?: string } | null | undefined;
  return record.placement ? (source?.job ?? null) : null;
}

function told(part: unknown, name: string): string | undefined {
  const value = typeof part === "object" && part !== null ? (part as Request)[name] : undefined;
  return typeof value === "string" ? value : undefined;
}

function listing(...parts: string[]): string {
  return parts.filter(Boolean).join(", ");
}
