// A job's state, in a word and a sign, and what it is doing.
import { isLost } from "../api/events";
import type { JobRecord, JobState } from "../api/types";
import { doing, STATES } from "../text/words";

export function StateBadge({ state }: { state: JobState }) {
  return <span class={`badge ${state}`}>{STATES[state]}</span>;
}

export function Doing({ record }: { record: JobRecord }) {
  return <>{isLost(record.id) ? "Connection lost, trying again" : doing(record)}</>;
}
