// A job among others: its picture, its name, what was asked, and what can be done with it.
import { isTerminal, type JobRecord } from "../api/types";
import { kindOf, summary } from "../jobs/kinds";
import { markOf, scanNameOf } from "../jobs/marks";
import { formatRoute } from "../route";
import { ago, toldOf } from "../text/words";
import { Preview } from "../ui/preview";
import { Actions } from "./actions";
import { Naming } from "./naming";
import { Saving } from "./saving";
import { Doing, StateBadge } from "./state";
import { previewOf } from "./strip";

interface JobCardProps {
  record: JobRecord;
  isPicked: boolean;
  onPick: (isOn: boolean) => void;
  onGone: () => void;
}

export function titleOfJob(record: JobRecord): string {
  const { name } = markOf(record.id);
  return `${kindOf(record).name} ${record.id.slice(0, 8)}${name ? `: ${name}` : ""}`;
}

export function JobCard({ record, isPicked, onPick, onGone }: JobCardProps) {
  const first = record.results.find((result) => result.preview);
  const link = formatRoute("jobs", record.id);
  const scan = scanNameOf(record);
  return (
    <article class={`job${isPicked ? " is-picked" : ""}`} aria-label={titleOfJob(record)}>
      {/* biome-ignore lint/a11y/useAnchorContent: a second way for the mouse; the link with words follows */}
      <a class="job-picture" href={link} tabIndex={-1} aria-hidden="true">
        <Preview url={first ? previewOf(record, first) : null} alt="" planes="three" />
      </a>
      <div class="job-head">
        <input
          type="checkbox"
          aria-label={`Select ${titleOfJob(record)}`}
          checked={isPicked}
          onChange={(event) => onPick(event.currentTarget.checked)}
        />
        <a href={link}>
          {kindOf(record).name} <span class="hint">{record.id.slice(0, 8)}</span>
        </a>
        <StateBadge state={record.state} />
      </div>
      <Naming record={record} />
      <p class="job-text">
        {record.model}
        {scan && (
          <>
            <br />
            Scan {scan}
          </>
        )}
        <br />
        <span class="hint">
          {isTerminal(record.state) ? summary(record) : <Doing record={record} />}, {ago(record.created_at)}
        </span>
        {record.webhook && (
          <>
            <br />
            <span class="hint">{toldOf(record.webhook)}</span>
          </>
        )}
        {record.error && <span class="job-fault">{record.error.detail}</span>}
      </p>
      <div class="job-foot">
        <Actions record={record} isCompact onGone={onGone} />
        {isTerminal(record.state) && <Saving record={record} isCompact />}
      </div>
    </article>
  );
}
