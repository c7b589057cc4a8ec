import { expect, test, vi } from "vitest";

import { LatestWins } from "./latest";

interface Call {
  wish: number;
  signal: AbortSignal;
  finish: () => void;
}

function recorded(): { calls: Call[]; work: (wish: number, signal: AbortSignal) => Promise<void> } {
  const calls: Call[] = [];
  const work = (wish: number, signal: AbortSignal): Promise<void> =>
    new Promise((finish) => calls.push({ wish, signal, finish }));
  return { calls, work };
}

test("wishes close together count as one", async () => {
  const { calls, work } = recorded();
  const queue = new LatestWins(work, 5);
  for (const wish of [1, 2, 3]) queue.ask(wish);
  await vi.waitFor(() => expect(calls.map((call) => call.wish)).toEqual([3]));
});

test("a newer wish aborts the one that runs, and only the newest follows it", async () => {
  const { calls, work } = recorded();
  const queue = new LatestWins(work, 0);
  queue.ask(1);
  await vi.waitFor(() => expect(calls).toHaveLength(1));
  queue.ask(2);
  await vi.waitFor(() => expect(calls[0]?.signal.aborted).toBe(true));
  queue.ask(3);
  expect(calls).toHaveLength(1); // one at a time
  calls[0]?.finish();
  await vi.waitFor(() => expect(calls.map((call) => call.wish)).toEqual([1, 3]));
  expect(calls[1]?.signal.aborted).toBe(false);
});

test("a dropped wish is never granted", async () => {
  const { calls, work } = recorded();
  const queue = new LatestWins(work, 0);
  queue.ask(1);
  queue.drop();
  queue.ask(2);
  await vi.waitFor(() => expect(calls.map((call) => call.wish)).toEqual([2]));
  queue.close();
  expect(calls[0]?.signal.aborted).toBe(true);
});

test("work that fails does not stop the next", async () => {
  const granted: number[] = [];
  const queue = new LatestWins<number>(async (wish) => {
    granted.push(wish);
    if (wish === 1) throw new Error("no");
  }, 0);
  queue.ask(1);
  await vi.waitFor(() => expect(granted).toEqual([1]));
  queue.ask(2);
  await vi.waitFor(() => expect(granted).toEqual([1, 2]));
});
