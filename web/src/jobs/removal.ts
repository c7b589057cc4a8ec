// Several jobs removed one after the other; what the service refuses is told by job.
import { asProblem, type Problem } from "../api/problem";
import type { JobRecord } from "../api/types";

export interface Refusal {
  record: JobRecord;
  problem: Problem;
}

/** Those that could not be removed. A job that was gone already is none of them. */
export async function removeAll(
  records: readonly JobRecord[],
  remove: (record: JobRecord) => Promise<unknown>,
  told: (done: number) => void,
): Promise<Refusal[]> {
  const refused: Refusal[] = [];
  for (const [index, record] of records.entries()) {
    try {
      await remove(record);
    } catch (fault) {
      const problem = asProblem(fault);
      if (problem.status !== 404 && problem.status !== 410) refused.push({ record, problem });
    }
    told(index + 1);
  }
  return refused;
}
