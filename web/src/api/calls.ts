// Every call that the page makes, one function each, typed by the service's schema.
import createClient from "openapi-fetch";

import { addressOf, SERVICE } from "./address";
import { keyedFetch } from "./key";
import { accepted, problemOf } from "./problem";
import type { paths } from "./schema";
import {
  type AnyModel,
  type Direction,
  type EditRequest,
  type EncodeRequest,
  type GenerateRequest,
  isTerminal,
  type JobKind,
  type JobRecord,
  type JobState,
  type RegressionFit,
  type SefaFit,
  type TranslateRequest,
} from "./types";

/** Whether the service runs on the machine of the browser: its volumes need no packing, and share the processor. */
export const isLoopback = /^(localhost|127\.|\[::1\])/.test(location.hostname);

const client = createClient<paths>({ baseUrl: SERVICE, fetch: keyedFetch });

interface Answer<T> {
  data?: T;
  response: Response;
  error?: unknown;
}

/** The data of an answer. Throws: Problem. */
async function told<T>(call: Answer<T> | Promise<Answer<T>>): Promise<T> {
  const { data, response, error } = await call;
  if (response.ok) return data as T;
  throw await problemOf(new Response(JSON.stringify(error ?? {}), { status: response.status }));
}

/** 128 random bits, from what is also there over plain HTTP beyond loopback, where `crypto.randomUUID` is not. */
function drawn(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const once = () => ({ "Idempotency-Key": drawn() });

export interface JobFilter {
  state?: JobState;
  kind?: JobKind;
  model?: string;
  limit?: number;
  cursor?: string;
}

export const api = {
  // The client's mapped types lose tuples and fields that are always null, which the schema has.
  models: async (): Promise<AnyModel[]> => (await told(client.GET("/models"))).items as unknown as AnyModel[],

  model: async (name: string): Promise<AnyModel> =>
    (await told(client.GET("/models/{name}", { params: { path: { name } } }))) as unknown as AnyModel,

  directions: async (model: string): Promise<Direction[]> =>
    (await told(client.GET("/models/{name}/directions", { params: { path: { name: model } } }))).items,

  direction: (model: string, direction: string) =>
    told(client.GET("/models/{name}/directions/{direction}", { params: { path: { name: model, direction } } })),

  removeDirection: (model: string, direction: string): Promise<unknown> =>
    told(client.DELETE("/models/{name}/directions/{direction}", { params: { path: { name: model, direction } } })),

  fitDirection: (model: string, fit: RegressionFit | SefaFit): Promise<JobRecord> =>
    told(
      client.POST("/models/{name}/directions", {
        params: { path: { name: model } },
        headers: once(),
        body: fit,
      }),
    ),

  generate: (request: GenerateRequest): Promise<JobRecord> =>
    told(client.POST("/generate", { headers: once(), body: request })),

  edit: (request: EditRequest, signal?: AbortSignal): Promise<JobRecord> =>
    told(client.POST("/edit", { headers: once(), body: request, signal: signal ?? null })),

  encode: (request: EncodeRequest, scan: File): Promise<JobRecord> => postScan("/encode", request, { volume: scan }),

  translate: (request: TranslateRequest, scan: File, mask: File | null): Promise<JobRecord> =>
    postScan("/translate", request, { volume: scan, ...(mask && { mask }) }),

  jobs: (filter: JobFilter, signal?: AbortSignal) =>
    told(client.GET("/jobs", { params: { query: filter }, signal: signal ?? null })),

  job: (id: string, signal?: AbortSignal): Promise<JobRecord> =>
    told(client.GET("/jobs/{job_id}", { params: { path: { job_id: id } }, signal: signal ?? null })),

  /** Asks a job to stop. One that has ended is left as it is, also where it ends at this moment. */
  async cancelJob(id: string): Promise<JobRecord> {
    const path = { job_id: id };
    for (;;) {
      const seen = await client.GET("/jobs/{job_id}", { params: { path } });
      const record = await told(seen);
      if (isTerminal(record.state)) return record;
      const tag = (seen.response.headers.get("ETag") ?? "*").replace(/^W\//, ""); // which a proxy may put before it
      const answer = await client.DELETE("/jobs/{job_id}", { params: { path, header: { "if-match": tag } } });
      if (answer.response.status !== 412) return (await told(answer)) ?? record;
    }
  },

  /** Cancels a job that has not ended, removes one that has. */
  removeJob: (id: string): Promise<JobRecord | undefined> =>
    told(client.DELETE("/jobs/{job_id}", { params: { path: { job_id: id } } })),
};

/** Files as a form, because a fetch of the browser's streams them from the disk. */
async function postScan(path: string, request: object, files: Readonly<Record<string, File>>): Promise<JobRecord> {
  const form = new FormData();
  for (const [part, file] of Object.entries(files)) form.append(part, file);
  form.append("request", new Blob([JSON.stringify(request)], { type: "application/json" }));
  const answer = await keyedFetch(addressOf(path), { method: "POST", headers: once(), body: form });
  return (await accepted(answer)).json() as Promise<JobRecord>;
}

/** A file of the service's by its `url`, with the key; never by way of a bucket, where the page may not go. Throws: Problem. */
export async function fetchFile(url: string, signal?: AbortSignal): Promise<Response> {
  return accepted(await keyedFetch(addressOf(url), { headers: { Prefer: "redirect=no" }, signal: signal ?? null }));
}
