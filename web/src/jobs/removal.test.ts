import { expect, test } from "vitest";

import { Problem } from "../api/problem";
import type { JobRecord } from "../api/types";
import { removeAll } from "./removal";

const record = (id: string): JobRecord => ({ id }) as JobRecord;

test("each job is removed whatever became of the others, and a refusal is told by job", async () => {
  const removed: string[] = [];
  const done: number[] = [];
  const remove = async ({ id }: JobRecord): Promise<void> => {
    if (id === "b") throw new Problem("Not allowed", "The key may not.", 403, "scope_missing");
    if (id === "c") throw new Problem("No such job", "", 404, "unknown_job");
    removed.push(id);
  };
  const refused = await removeAll(["a", "b", "c", "d"].map(record), remove, (count) => done.push(count));
  expect(removed).toEqual(["a", "d"]);
  expect(refused.map(({ record: { id }, problem }) => [id, problem.title])).toEqual([["b", "Not allowed"]]);
  expect(done).toEqual([1, 2, 3, 4]);
});
