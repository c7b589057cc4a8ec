import { expect, test } from "vitest";

import type { JobEvent } from "../api/events";
import type { JobRecord, ResultFile } from "../api/types";
import { changedBy } from "./changes";

const QUEUED = {
  id: "a",
  state: "queued",
  stage: null,
  results: [],
  progress: { done: 0, total: 0 },
} as unknown as JobRecord;
const made = (index: number): ResultFile => ({ name: `00${index}.nii.gz`, index }) as ResultFile;

function after(events: JobEvent[]): JobRecord {
  return events.reduce((record, event) => changedBy(event, record), QUEUED);
}

test("a record follows its events", () => {
  const record = after([
    { type: "state", data: { state: "running" } },
    { type: "progress", data: { stage: "forward", done: 0, total: 3 } },
    { type: "result", data: made(0) },
  ]);
  expect(record).toMatchObject({ state: "running", stage: "forward", progress: { done: 1, total: 3 } });
});

test("an event that comes twice counts once, and progress never goes back", () => {
  const record = after([
    { type: "progress", data: { stage: "forward", done: 1, total: 2 } },
    { type: "result", data: made(1) },
    { type: "result", data: made(0) },
    { type: "result", data: made(1) },
    { type: "progress", data: { stage: "forward", done: 0, total: 2 } },
  ]);
  expect(record.results.map((result) => result.index)).toEqual([0, 1]);
  expect(record.progress).toEqual({ done: 2, total: 2, left_s: null });
});

test("an event of a newer service changes nothing", () => {
  expect(after([{ type: "news", data: {} } as unknown as JobEvent])).toEqual(QUEUED);
});
