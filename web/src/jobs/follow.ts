// One job from its first event to its end, for parts of the page that drive it rather than look at it.
import { api } from "../api/calls";
import { follow } from "../api/events";
import { Problem } from "../api/problem";
import { isTerminal, type JobRecord, type ResultFile } from "../api/types";
import { changedBy } from "./changes";

export interface Told {
  changed: (record: JobRecord) => void;
  /** As soon as the file is stored, before the job has ended. */
  made: (result: ResultFile, record: JobRecord) => void;
}

/** Jobs that a person looks at by themselves: no longer the driver's to cancel or to remove. */
const spared = new Set<string>();

export function spare(id: string): void {
  spared.add(id);
}

/**
 * Posts a job and follows it. When the signal is aborted, the job is canceled on the service, and removed where it has
 * made nothing yet; also where its id is only learned after that. A spared job goes on. Throws: Problem where it fails.
 */
export async function drive(
  post: () => Promise<JobRecord>,
  signal: AbortSignal,
  told: Told,
): Promise<JobRecord | null> {
  let record = await post();
  const { id } = record;
  try {
    signal.throwIfAborted();
    told.changed(record);
    for await (const event of follow(id, signal)) {
      record = changedBy(event, record);
      told.changed(record);
      if (event.type === "result") told.made(event.data, record);
    }
  } catch (fault) {
    if (!signal.aborted) throw fault;
  }
  if (signal.aborted) {
    if (spared.has(id)) return null;
    if (record.results.length === 0) await discard(id);
    else if (!record.ended_at) await api.removeJob(id).catch(() => undefined); // canceled: its volumes may be on screen
    return null;
  }
  if (record.error) throw new Problem("The job failed", record.error.detail, 0, record.error.code);
  return record;
}

/** Removes a job that nobody asks for any more. Returns as soon as it will take no more of the service's time. */
export async function discard(id: string): Promise<void> {
  if (spared.has(id)) return;
  const left = await api.removeJob(id).catch(() => undefined);
  if (left) void removed(left).catch(() => undefined); // it stays in the gallery, canceled
}

async function removed({ id, state }: JobRecord): Promise<void> {
  if (!isTerminal(state)) for await (const event of follow(id, AbortSignal.timeout(60_000))) if (event.type === "end") break;
  await api.removeJob(id);
}
