// Problem: what went wrong, in the words of the service's own problem document (RFC 9457).
import type { ErrorItem, ProblemDocument } from "./types";

export class Problem extends Error {
  constructor(
    readonly title: string,
    readonly detail: string,
    readonly status: number = 0,
    readonly code: string = "",
    readonly errors: readonly ErrorItem[] = [],
  ) {
    super(`${title}: ${detail}`);
  }
}

/** Any failure as a Problem: nothing that a person reads is an exception's text. */
export function asProblem(fault: unknown): Problem {
  if (fault instanceof Problem) return fault;
  if (fault instanceof TypeError) {
    return new Problem(
      "The service does not answer",
      "It may have stopped, or the connection is down. Try again in a moment.",
    );
  }
  return new Problem(
    "This did not work",
    fault instanceof Error ? fault.message : "The page met something unexpected.",
  );
}

export function isAbort(fault: unknown): boolean {
  return fault instanceof DOMException && fault.name === "AbortError";
}

/** The problem that an answer tells, also where a proxy wrote the answer. */
export async function problemOf(answer: Response): Promise<Problem> {
  let told: Partial<ProblemDocument> = {};
  try {
    told = (await answer.json()) as Partial<ProblemDocument>;
  } catch {
    // not a document of the service's: the status has to do
  }
  const title = told.title ?? `The service answered ${answer.status}`;
  return new Problem(title, told.detail ?? "", answer.status, told.code ?? "", told.errors ?? []);
}

/** The answer, where it is one. Throws: Problem. */
export async function accepted(answer: Response): Promise<Response> {
  if (answer.ok) return answer;
  throw await problemOf(answer);
}
