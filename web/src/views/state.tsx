// A job's state, in a word and a sign.
import type { JobState } from "../api/types";
import { STATES } from "../text/words";

export function StateBadge({ state }: { state: JobState }) {
  return <span class={`badge ${state}`}>{STATES[state]}</span>;
}
