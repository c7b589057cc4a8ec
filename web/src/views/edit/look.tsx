// What an edit shows: the volume as it is now, and where it started, on linked canvases.
import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";

import { isLoopback } from "../../api/calls";
import { isTerminal, type JobRecord } from "../../api/types";
import type { Problem } from "../../api/problem";
import { cardOf } from "../../catalogue";
import { spare } from "../../jobs/follow";
import { shownScan } from "../../jobs/scans";
import { describe, type Kept, keep, shownOf } from "../../jobs/shown";
import { formatRoute } from "../../route";
import { Button, Meter } from "../../ui/controls";
import { ProblemNotice } from "../../ui/notices";
import { say } from "../../ui/toast";
import type { Mode } from "../../viewer/stage";
import { Viewer } from "../../viewer/viewer";
import { Remarks } from "../remarks";
import { Saving } from "../saving";
import { Doing, StateBadge } from "../state";
import type { Made } from "./driver";

export function volumeOf(made: Made | null | undefined, title: string): Kept | null {
  return made ? { ...describe(made.record, made.result, cardOf(made.record.model)), title } : null;
}

interface LookProps {
  start: Kept | null;
  now: Kept | null;
  /** The scan that the start is the latent of, where the page has it: what comes of it lies on it. */
  scan?: File | null;
  record: JobRecord | null;
  isBusy: boolean;
  problem: Problem | null;
  /** What the status says while there is no record. */
  idle?: string | undefined;
}

export function Look({ start, now, scan = null, record, isBusy, problem, idle }: LookProps) {
  const picked = useSignal<Mode | null>(null);
  const shownNow = now && shownOf(now);
  const shownStart = start && now && start.url !== now.url ? shownOf(start) : null;
  const base = useMemo(() => scan && shownScan(scan), [scan]);
  const other = shownNow && (base ?? shownStart);
  const mode = picked.value ?? (base ? "overlay" : "single");
  const isCompared = mode !== "single" && other !== null;
  return (
    <>
      <div class="status" data-testid="edit-status" data-busy={isBusy}>
        {record ? <StateBadge state={record.state} /> : <span class="badge">{isBusy ? "Sending" : "Ready"}</span>}
        <p class="status-text" role="status">
          {record ? <Doing record={record} /> : (idle ?? (isBusy ? "Sending the request" : "Waiting for a change"))}
        </p>
        <div class="status-meter">{isBusy && <Meter fraction={null} label="Progress of the edit" />}</div>
        {now && (
          <Button
            kind="quiet"
            icon="pin"
            onClick={() => {
              keep(now);
              say(`${now.title} is kept: any other volume can be compared with it.`);
            }}
          >
            Keep to compare
          </Button>
        )}
        {record && isTerminal(record.state) && <Saving record={record} />}
        {record && (
          <a
            class="button plain"
            href={formatRoute("jobs", record.id)}
            onClick={() => spare(record.id)}
            onAuxClick={() => spare(record.id)}
          >
            Open the job
          </a>
        )}
      </div>
      {problem && <ProblemNotice problem={problem} />}
      {record && <Remarks record={record} />}
      <Viewer
        first={isCompared ? other : shownNow}
        second={isCompared ? shownNow : other}
        mode={mode}
        isSoon={isBusy}
        isHeld={isBusy && isLoopback}
        onMode={(next) => (picked.value = next)}
      />
    </>
  );
}
