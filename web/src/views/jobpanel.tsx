// JobPanel: one job, live: how far it is, what it made, and the viewer on one or two of its results.
import { useMemo } from "preact/hooks";

import { api, isLoopback } from "../api/calls";
import type { Problem } from "../api/problem";
import { saveFile } from "../api/save";
import { isTerminal, type JobRecord, type ResultFile } from "../api/types";
import { cardOf } from "../catalogue";
import { expected, kindOf } from "../jobs/kinds";
import { describe, type Kept, keep, kept, shownOf, viewable } from "../jobs/shown";
import { retryJob } from "../jobs/watch";
import { jobInAddress, note, route } from "../route";
import { isOnScanGrid, isViewable, nameOf } from "../text/words";
import { Button, Meter } from "../ui/controls";
import { Empty, ProblemNotice, Skeleton } from "../ui/notices";
import { attempt, say } from "../ui/toast";
import type { Mode, Shown } from "../viewer/stage";
import { Viewer } from "../viewer/viewer";
import { editLink } from "./actions";
import { Metrics } from "./metrics";
import { Mosaic, MosaicButton, mosaicOf } from "./mosaic";
import { Remarks } from "./remarks";
import { Saving, stemOf } from "./saving";
import { Doing, StateBadge } from "./state";
import { Strip } from "./strip";

interface JobPanelProps {
  record: JobRecord | null;
  problem: Problem | null;
  /** A volume of the page's own, such as the scan that was encoded, shown before the results. */
  scan?: Shown | null;
}

export function JobPanel({ record, problem, scan = null }: JobPanelProps) {
  const retry = (): void => retryJob(record?.id ?? jobInAddress() ?? "");
  const trouble = problem && <ProblemNotice problem={problem} onRetry={retry} />;
  if (!record) return trouble || <Skeleton lines={4} label="Loading the job" />;
  const plane = mosaicOf(record);
  return (
    <div class="jobpanel">
      <Status record={record} />
      {trouble}
      {record.error && <JobFault record={record} />}
      <Remarks record={record} />
      {plane ? <Mosaic record={record} plane={plane} /> : <Look record={record} scan={scan} />}
    </div>
  );
}

function Status({ record }: { record: JobRecord }) {
  const { done, total } = record.progress;
  const isLive = !isTerminal(record.state);
  const fraction = record.state === "running" && total > 0 && done > 0 ? done / total : null;
  return (
    <div class="status" data-testid="job-status" data-state={record.state}>
      <StateBadge state={record.state} />
      <p class="status-text" role="status">
        <Doing record={record} />
      </p>
      <div class="status-meter">{isLive && <Meter fraction={fraction} label="Progress of the job" />}</div>
      <MosaicButton record={record} />
      {isLive ? (
        <Button icon="stop" onClick={() => void cancel(record)}>
          Cancel
        </Button>
      ) : (
        <>
          <LatentDownload record={record} />
          <Saving record={record} />
        </>
      )}
    </div>
  );
}

/** What an encoding is for stands by itself, not among the other files. */
function LatentDownload({ record }: { record: JobRecord }) {
  const file = record.files.find((entry) => entry.name === kindOf(record).latents);
  if (!file) return null;
  return (
    <>
      <Button icon="download" onClick={() => void attempt(() => saveFile(file.url, `${stemOf(record)}-${file.name}`))}>
        Latent
      </Button>
      <a class="button plain" href={editLink(record, 0)}>
        Edit it
      </a>
    </>
  );
}

async function cancel(record: JobRecord): Promise<void> {
  await attempt(async () => {
    const { state } = await api.cancelJob(record.id);
    if (!isTerminal(state)) say("The job stops after the step that it is in.");
  });
}

function JobFault({ record }: { record: JobRecord }) {
  return (
    <div class="notice problem" role="alert">
      <div>
        <p class="notice-title">The job failed</p>
        <p>{record.error?.detail}</p>
        <p class="hint">
          Code <code>{record.error?.code}</code>
          {record.results.length > 0 && "; what it finished before is kept"}
        </p>
      </div>
    </div>
  );
}

/** The result that the address names, else the first that can be shown; of an encoded scan, the one on the scan's grid. */
function chosen(record: JobRecord, name: string | undefined): ResultFile | null {
  const shown = viewable(record);
  return shown.find((result) => result.name === name) ?? shown.find(isOnScanGrid) ?? shown[0] ?? null;
}

function Look({ record, scan }: { record: JobRecord; scan: Shown | null }) {
  const { show, with: other, mode } = route.value.query;
  const card = cardOf(record.model);
  const result = chosen(record, show);
  const partner = viewable(record).find((entry) => entry.name === other && entry !== result) ?? null;
  const held = kept.value?.url === result?.url ? null : kept.value; // no volume is compared with itself
  const own = useMemo(() => (result ? shownOf(describe(record, result, card)) : null), [record.id, result?.name, card]);
  const isBesideScan = scan !== null && (kindOf(record).takesScan || (other ?? SCAN) === SCAN);
  const second = useMemo(() => {
    if (isBesideScan) return null;
    if (other === "kept") return held && shownOf(held);
    return partner && shownOf(describe(record, partner, card));
  }, [record.id, isBesideScan, other, partner?.name, held, card]);

  const isLive = !isTerminal(record.state);
  if (!result && !scan && !isLive) return <NothingToSee record={record} />;
  const pair = isBesideScan ? { first: scan, second: own } : { first: own, second };
  const shownMode = (mode as Mode | undefined) ?? "pair";
  return (
    <>
      <div class="strip-row">
        <Strip
          record={record}
          selected={result?.name ?? null}
          compared={partner?.name ?? null}
          onSelect={(picked) => select(picked, result, partner)}
        />
        {kindOf(record).takesScan ? (
          <Metrics record={record} />
        ) : (
          <CompareBar
            record={record}
            result={result}
            held={held}
            hasScan={scan !== null}
            other={isBesideScan ? SCAN : (partner?.name ?? (other === "kept" && held ? other : ""))}
          />
        )}
      </div>
      <Viewer
        {...pair}
        mode={shownMode}
        isSoon={isLive && expected(record) > 0}
        isHeld={isLive && isLoopback}
        isTranslation={kindOf(record).changesAppearance}
        onMode={(next) => note({ mode: next })}
      />
    </>
  );
}

/** Shows a result. The one that it is compared with takes its place in turn. */
function select(picked: ResultFile, shown: ResultFile | null, partner: ResultFile | null): void {
  if (!isViewable(picked.name)) say("This file format cannot be shown here; download it instead.");
  else if (shown && picked.name === partner?.name) note({ show: picked.name, with: shown.name });
  else note({ show: picked.name });
}

function NothingToSee({ record }: { record: JobRecord }) {
  if (!kindOf(record).makesVolumes || record.state === "failed") return null;
  const title = record.results.length > 0 ? "These files cannot be shown here" : "No volumes";
  return (
    <Empty icon="compare" title={title}>
      <p>
        {record.state === "expired"
          ? "The results were removed after their time; run the job again."
          : "Download them to look at them elsewhere."}
      </p>
    </Empty>
  );
}

interface CompareBarProps {
  record: JobRecord;
  result: ResultFile | null;
  held: Kept | null;
  /** Of an edit of an encoded scan, where the page has the scan. */
  hasScan: boolean;
  other: string;
}

/** In the address, where a volume is compared with the scan; and nothing where a person chose that. */
const SCAN = "scan";
const NOTHING = "nothing";

function CompareBar({ record, result, held, hasScan, other }: CompareBarProps) {
  const rest = viewable(record).filter((entry) => entry.name !== result?.name);
  return (
    <div class="compare">
      <label>
        <span>Compare with</span>
        <select
          value={other}
          disabled={!result}
          onChange={(event) => note({ with: event.currentTarget.value || (hasScan ? NOTHING : null) })}
        >
          <option value="">nothing</option>
          {hasScan && (
            <option value={SCAN} selected={other === SCAN}>
              the scan
            </option>
          )}
          {rest.map((entry) => (
            <option key={entry.name} value={entry.name} selected={entry.name === other}>
              {nameOf(entry)}
            </option>
          ))}
          {held && (
            <option value="kept" selected={other === "kept"}>
              Kept: {held.title}
            </option>
          )}
        </select>
      </label>
      <Button
        icon="pin"
        kind="quiet"
        isDisabled={!result}
        onClick={() => {
          if (!result) return;
          keep(describe(record, result, cardOf(record.model)));
          say(`${nameOf(result)} is kept: any other volume can be compared with it.`);
        }}
      >
        Keep to compare
      </Button>
      {result?.latent && (
        <a class="button quiet" href={editLink(record, result.index)}>
          Edit it
        </a>
      )}
    </div>
  );
}
