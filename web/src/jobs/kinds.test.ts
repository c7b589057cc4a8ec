import { expect, test } from "vitest";

import type { JobRecord } from "../api/types";
import { expected, isUpload, kindOf, summary } from "./kinds";

function record(kind: JobRecord["kind"], request: JobRecord["request"], part: Partial<JobRecord> = {}): JobRecord {
  const usual = { id: "a", model: "m", state: "queued", volumes: 0, results: [], files: [] };
  return { ...usual, kind, request, ...part } as unknown as JobRecord;
}

test("a job is summed up by what was asked and what came of it", () => {
  const results = [{}, {}] as JobRecord["results"];
  expect(summary(record("generate", { seed: 42 }, { results }))).toBe("2 volumes, seed 42");
  expect(summary(record("generate", { seed: null }))).toBe("seed listed");
  expect(summary(record("edit", { edit: { op: "move", direction: "age" } }, { results }))).toBe("age, 2 volumes");
  expect(summary(record("edit", { edit: { op: "mix" } }))).toBe("mix");
  expect(summary(record("fit_direction", { fit: { name_prefix: "p" } }))).toBe("directions");
});

test("the number of volumes to come is the record's word, and that of an ended job what it made", () => {
  expect(expected(record("edit", {}, { volumes: 3 }))).toBe(3);
  expect(expected(record("edit", {}, { volumes: 3, state: "canceled" }))).toBe(0);
  expect(expected(record("fit_direction", {}))).toBe(0);
});

test("each kind is repeated where its form is", () => {
  expect(kindOf(record("encode", {})).repeat(record("encode", {}))).toBe("#/encode?from=a");
  expect(kindOf(record("fit_direction", {})).repeat(record("fit_direction", {}))).toBe("#/edit?tab=new&model=m");
});

test("a scan is sent along unless it is an earlier result", () => {
  expect(isUpload(record("encode", { source: null }))).toBe(true);
  expect(isUpload(record("encode", { source: { job: "b" } }))).toBe(false);
  expect(isUpload(record("generate", {}))).toBe(false);
});
