import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { JobRecord } from "../api/types";
import { forget, isFound, mark, markOf, parseMarks, scanNameOf, SLOT, tidied } from "./marks";

const kept = new Map<string, string>();
beforeEach(() => {
  vi.stubGlobal("localStorage", {
    getItem: (slot: string) => kept.get(slot) ?? null,
    setItem: (slot: string, text: string) => kept.set(slot, text),
  });
});
afterEach(() => {
  kept.clear();
  vi.unstubAllGlobals();
});

function record(part: Partial<JobRecord>): JobRecord {
  const usual = { id: "ab12", kind: "encode", model: "brain-demo-256", request: {}, results: [], placement: null };
  return { ...usual, ...part } as unknown as JobRecord;
}

test("marks are kept by job, and go with it", () => {
  mark("ab12", { name: "the broad head" });
  mark("ab12", { hasStar: true });
  mark("cd34", { scan: "t1.nii.gz" });
  expect(markOf("ab12")).toEqual({ name: "the broad head", hasStar: true });
  forget("ab12");
  expect(markOf("ab12")).toEqual({});
  expect(parseMarks(kept.get(SLOT) ?? null)).toEqual({ cd34: { scan: "t1.nii.gz" } });
  forget();
  expect(parseMarks(kept.get(SLOT) ?? null)).toEqual({});
});

test("a mark that says nothing is not kept, and what another program wrote is not believed", () => {
  expect(tidied({ a: { name: "" }, b: { hasStar: true }, c: {} })).toEqual({ b: { hasStar: true } });
  expect(parseMarks('{"a": {"name": 3, "hasStar": "yes", "scan": "x.nii"}, "b": null}')).toEqual({
    a: { scan: "x.nii" },
    b: {},
  });
  for (const text of [null, "[1]", "null", "no JSON"]) expect(parseMarks(text)).toEqual({});
});

test("the scan of an edit is that of the encoding that it edits", () => {
  mark("ab12", { scan: "patient.nii.gz" });
  expect(scanNameOf(record({}))).toBe("patient.nii.gz");
  const edit = record({ id: "ef56", kind: "edit", request: { source: { job: "ab12" } } });
  expect(scanNameOf(edit)).toBeNull();
  expect(scanNameOf({ ...edit, placement: {} } as unknown as JobRecord)).toBe("patient.nii.gz");
});

test("a job is found by words of its name, kind, model, id and scan", () => {
  mark("ab12", { name: "Broad head", scan: "T1_left.nii.gz" });
  for (const sought of ["broad", "HEAD encode", "demo ab1", "t1_left", ""])
    expect(isFound(record({}), sought)).toBe(true);
  for (const sought of ["generate", "broad tiny"]) expect(isFound(record({}), sought)).toBe(false);
});
