import { expect, test } from "vitest";

import type { JobRecord, ResultFile, Webhook } from "../api/types";
import { ago, bytes, doing, figure, grid, nameOf, seconds, sizeOf, toldOf } from "./words";

test("numbers are as people read them", () => {
  expect([999, 1000, 9_680_915, 999_999, 2.5e9].map(bytes)).toEqual(["999 B", "1.0 kB", "9.7 MB", "1.0 MB", "2.5 GB"]);
  expect([0.42, 59, 125].map(seconds)).toEqual(["0.4 s", "59 s", "2 min 5 s"]);
  expect([1234.5, 42, 0.123, 12.34, NaN].map(figure)).toEqual(["1,235", "42", "0.12", "12.3", "–"]);
  expect([grid([64, 64, 64]), grid([64, 32, 64])]).toEqual(["64³", "64 × 32 × 64"]);
  expect(sizeOf({ shape: [256, 64, 64], spacing_mm: [0.78125, 3, 2.5] })).toBe("200 × 192 × 160 mm");
  expect(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T02:30:00Z"))).toBe("2 hours ago");
});

test("a result is named by what sets it apart", () => {
  const result = (part: Partial<ResultFile>): ResultFile =>
    ({ index: 1, label: null, latent: null, ...part }) as ResultFile;
  expect(nameOf(result({ latent: { seed: 42 } }))).toBe("Seed 42");
  expect(nameOf(result({ label: "strength=-3" }))).toBe("−3 SD");
  expect(nameOf(result({ label: "step=2/5" }))).toBe("Step 2/5");
  expect(nameOf(result({}))).toBe("Sample 2");
});

test("a job says what it is doing", () => {
  const record = {
    state: "running",
    stage: "forward",
    progress: { done: 1, total: 3 },
    results: [],
    timings_s: {},
  } as unknown as JobRecord;
  expect(doing(record)).toBe("Synthesising 2 of 3");
  expect(doing({ ...record, state: "queued", queue_position: 4 })).toBe("Queued, 3 ahead");
  expect(doing({ ...record, state: "succeeded", timings_s: { total: 2.34 } })).toBe("Took 2.3 s");
  expect(doing({ ...record, stage: "load" }), "a model is loaded once").toBe("Loading the model");
  expect(doing({ ...record, state: "failed", timings_s: { total: 2.34 } })).toBe("");
  const results = [{} as ResultFile];
  expect(doing({ ...record, state: "canceled", results })).toBe("1 volume kept");
  expect(doing({ ...record, state: "succeeded", results, timings_s: { total: 2.34 } })).toBe("1 volume in 2.3 s");
});

test("a translation tells its scale, its patch and the time left; results on the scan's grid say so", () => {
  const progress = { done: 2, total: 28, left_s: 90 };
  const record = { state: "running", stage: "scale 1/2", progress, results: [] } as unknown as JobRecord;
  expect(doing(record)).toBe("Scale 1 of 2, patch 3 of 28, 1 min 30 s left");
  expect(nameOf({ label: "strength=2 scan-grid" } as ResultFile)).toBe("+2 SD, scan grid");
});

test("a webhook tells where it goes, and whether it came there", () => {
  const webhook = { receiver: "https://a.example", state: "waiting", attempts: 0 } as Webhook;
  expect(toldOf(webhook)).toBe("Webhook to https://a.example: when the job ends");
  expect(toldOf({ ...webhook, state: "pending", attempts: 1 })).toBe("Webhook to https://a.example: 1 attempt");
  expect(toldOf({ ...webhook, state: "delivered", attempts: 2 })).toBe("Webhook to https://a.example: delivered");
  expect(toldOf({ ...webhook, state: "given_up", attempts: 8 })).toContain("given up after 8 attempts");
});
