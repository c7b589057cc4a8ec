import { expect, test } from "vitest";

import { Problem } from "./problem";
import { persist, tryNow } from "./retry";

const BUSY = new Problem("Busy", "Come back.", 503);

function failing(times: number, fault: unknown): () => Promise<string> {
  let left = times;
  return () => (left-- > 0 ? Promise.reject(fault) : Promise.resolve("here"));
}

test("what may come later is asked for until it comes, and each failure is told", async () => {
  const told: (string | null)[] = [];
  const answer = persist(
    failing(2, BUSY),
    new AbortController().signal,
    (problem) => told.push(problem?.title ?? null),
    [1],
  );
  expect(await answer).toBe("here");
  expect(told).toEqual(["Busy", "Busy", null]);
});

test("an answer that will stay the same is told at once", async () => {
  const gone = new Problem("No such job", "", 404);
  await expect(persist(failing(1, gone), new AbortController().signal)).rejects.toBe(gone);
});

test("a person need not wait for the pause to end", async () => {
  const answer = persist(
    failing(1, new TypeError("fetch")),
    new AbortController().signal,
    () => setTimeout(tryNow),
    [60_000],
  );
  expect(await answer).toBe("here");
});

test("who no longer waits ends it", async () => {
  const stop = new AbortController();
  const answer = persist(failing(9, BUSY), stop.signal, () => stop.abort(), [60_000]);
  await expect(answer).rejects.toMatchObject({ name: "AbortError" });
});
