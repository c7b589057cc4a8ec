// One job from its first event to its end, for parts of the page that drive it rather than look at it.
import { api } from "../api/calls";
import { follow } from "../api/events";
import { Problem } from "../api/problem";
import { isTerminal, type JobRecord, type ResultFile } from "../api/types";
import { changedBy } from "./changes";
import { isKept } from "./shown";

export interface Told {
  changed: (record: JobRecord) => void;
  /** As soon as the file is stored, before the job has ended. */
  made: (result: ResultFile, record: JobRecord) => void;
  /** The page needs the job for a while, nobody asked for it: no stopped one stays, whatever it made. */
  isPassing?: boolean;
}

/** Jobs that a person looks at by themselves: no longer the driver's to cancel or to remove. */
const spared = new Set<string>();

export function spare(id: string): void {
  spared.add(id);
  passing.delete(id);
}

/** Jobs that the page removes when it is done with them: not for a person to choose from. */
const passing = new Set<string>();

export function isPassing(id: string): boolean {
  return passing.has(id);
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
  if (told.isPassing) passing.add(id);
  try {
    signal.throwIfAborted();
    told.changed(record);
    for await (const event of follow(id, signal)) {
      signal.throwIfAborted(); // what comes now is not shown any more
      record = changedBy(event, record);
      told.changed(record);
      if (event.type === "result") told.made(event.data, record);
    }
  } catch (fault) {
    if (!signal.aborted) throw fault;
  }
  if (signal.aborted) {
    if (spared.has(id)) return null;
    if (told.isPassing || record.results.length === 0) await discard(id);
    else if (!record.ended_at) await api.cancelJob(id).catch(() => undefined); // its volumes may be on screen
    return null;
  }
  if (!record.error) return record;
  passing.delete(id); // its fault is for a person to look at
  throw new Problem("The job failed", record.error.detail, 0, record.error.code);
}

/**
 * Removes a job that nobody asks for any more, unless it is spared or its volume kept. Returns as soon as it will take
 * no more of the service's time.
 */
export async function discard(id: string): Promise<void> {
  if (isKept(id)) passing.delete(id);
  if (spared.has(id) || isKept(id)) return;
  const left = await api.removeJob(id).catch(() => undefined);
  if (left) void removed(left).catch(() => undefined); // it stays in the gallery, canceled
}

async function removed({ id, state }: JobRecord): Promise<void> {
  if (!isTerminal(state))
    for await (const event of follow(id, AbortSignal.timeout(60_000))) if (event.type === "end") break;
  await api.removeJob(id);
}
