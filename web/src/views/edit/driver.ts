// Driver: edits one after the other, the latest wish wins, and what is superseded leaves the service.
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { api, isLoopback } from "../../api/calls";
import { asProblem, isAbort, type Problem } from "../../api/problem";
import type { EditRequest, JobRecord, ResultFile } from "../../api/types";
import { discard, drive } from "../../jobs/follow";
import { LatestWins } from "../../jobs/latest";
import { isOnScanGrid } from "../../text/words";

/** Compression is what a slider would wait for. */
export const EDIT_OUTPUT = {
  format: isLoopback ? "nii" : "nii.gz",
  dtype: "int16",
  intensity: "stored",
  preview: true,
} as const;

export interface Made {
  record: JobRecord;
  result: ResultFile;
}

/** Of the edits of an encoded scan, which come twice, those on the scan's own grid; of others all. */
export function onOneGrid(made: readonly Made[]): readonly Made[] {
  const onScan = made.filter(({ result }) => isOnScanGrid(result));
  return onScan.length > 0 ? onScan : made;
}

/** What to ask for; a promise where the request has to be worked out first; null where there is nothing to ask. */
export type Wish = (signal: AbortSignal) => Promise<EditRequest | null>;

export class Driver {
  readonly record = signal<JobRecord | null>(null);
  readonly problem = signal<Problem | null>(null);
  readonly results = signal<readonly Made[]>([]);
  /** Whether an answer is on its way. */
  readonly isBusy = signal(false);
  private readonly queue: LatestWins<Wish>;

  constructor(calmMs?: number) {
    this.queue = new LatestWins((wish, signal) => this.grant(wish, signal), calmMs);
  }

  ask(wish: Wish): void {
    this.isBusy.value = true;
    this.queue.ask(wish);
  }

  /** Stops what runs, and forgets what it made. */
  reset(): void {
    this.queue.drop();
    this.record.value = null;
    this.results.value = [];
    this.problem.value = null;
    this.isBusy.value = false;
  }

  close(): void {
    this.queue.close();
  }

  private async grant(wish: Wish, signal: AbortSignal): Promise<void> {
    this.problem.value = null;
    this.isBusy.value = true;
    try {
      const request = await wish(signal);
      if (request && !signal.aborted) await this.run(request, signal);
    } catch (fault) {
      if (!signal.aborted && !isAbort(fault)) this.problem.value = asProblem(fault);
    }
    if (!signal.aborted) this.isBusy.value = false;
  }

  private async run(request: EditRequest, signal: AbortSignal): Promise<void> {
    const before = this.results.value[0]?.record.id;
    let isFirst = true;
    await drive(() => api.edit(request), signal, {
      changed: (record) => (this.record.value = record),
      made: (result, record) => {
        this.results.value = isFirst ? [{ record, result }] : [...this.results.value, { record, result }];
        if (isFirst && before) void discard(before);
        isFirst = false;
      },
    });
  }
}

export function useDriver(calmMs?: number): Driver {
  const driver = useMemo(() => new Driver(calmMs), []);
  useEffect(() => () => driver.close(), [driver]);
  return driver;
}
