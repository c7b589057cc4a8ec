// What an event makes of a record.
import type { JobEvent } from "../api/events";
import type { JobRecord } from "../api/types";

/** The record after an event. An event may come twice, after a connection was taken up again. */
export function changedBy(event: JobEvent, record: JobRecord): JobRecord {
  switch (event.type) {
    case "state":
      return { ...record, state: event.data.state };
    case "progress":
      return {
        ...record,
        state: "running",
        stage: event.data.stage,
        progress: {
          done: Math.max(event.data.done, record.results.length),
          total: event.data.total,
          left_s: event.data.left_s ?? null,
        },
      };
    case "result": {
      const others = record.results.filter((known) => known.name !== event.data.name);
      const results = [...others, event.data].sort((a, b) => a.index - b.index);
      const total = Math.max(record.progress.total, results.length);
      return { ...record, results, progress: { ...record.progress, done: Math.min(results.length, total), total } };
    }
    case "end":
      return event.data;
    default:
      return record; // an event of a newer service
  }
}
