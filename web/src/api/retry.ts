// What loads is asked for again until it comes, as long as another try may help; and at once when a person asks for it.
import { asProblem, isAbort, type Problem } from "./problem";

const PAUSES_MS = [1000, 2000, 4000, 8000, 15_000];
const waiting = new Set<() => void>();

/** Ends all pauses: whatever waits tries now. */
export function tryNow(): void {
  for (const wake of [...waiting]) wake();
}

/** Whether the same question may have another answer soon: none came, or one that says to come back. */
export function isPassingTrouble({ status }: Problem): boolean {
  return status === 0 || status === 429 || status >= 500;
}

/**
 * The answer of `load`, tried again after pauses. `told` hears of each failure, and null when a try is under way.
 * Throws: Problem that no other try will mend; AbortError.
 */
export async function persist<T>(
  load: () => Promise<T>,
  signal: AbortSignal,
  told: (problem: Problem | null) => void = () => undefined,
  pausesMs: readonly number[] = PAUSES_MS,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      const answer = await load();
      if (failures > 0) told(null);
      return answer;
    } catch (fault) {
      if (signal.aborted || isAbort(fault)) throw fault;
      const problem = asProblem(fault);
      if (!isPassingTrouble(problem)) throw problem;
      told(problem);
      signal.throwIfAborted();
      await rest(pausesMs[Math.min(failures, pausesMs.length - 1)] ?? 15_000, signal);
    }
  }
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      waiting.delete(done);
      signal.removeEventListener("abort", stopped);
      resolve();
    };
    const stopped = (): void => {
      clearTimeout(timer);
      waiting.delete(done);
      reject(new DOMException("nobody waits for it", "AbortError"));
    };
    const timer = setTimeout(done, ms);
    waiting.add(done);
    signal.addEventListener("abort", stopped, { once: true });
  });
}
