// One job from its first event to its end, for parts of the page that drive it rather than look at it.
import { api } from "../api/calls";
import { follow } from "../api/events";
import { Problem } from "../api/problem";
import type { JobRecord, ResultFile } from "../api/types";
import { changedBy } from "./changes";

export interface Told {
  changed: (record: JobRecord) => void;
  /** As soon as the file is stored, before the job has ended. */
  made: (result: ResultFile, record: JobRecord) => void;
}

/**
 * Posts a job and follows it. When the signal is aborted, the job is canceled on the service, also where its id is only
 * learned after that. Throws: Problem where it fails.
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
    if (!record.ended_at) await api.removeJob(id).catch(() => undefined); // it may just have ended
    return null;
  }
  if (record.error) throw new Problem("The job failed", record.error.detail, 0, record.error.code);
  return record;
}
