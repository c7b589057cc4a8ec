// What can be done with a job: stop, remove, repeat, take the call along.
import { SERVICE } from "../api/address";
import { api } from "../api/calls";
import { apiKey } from "../api/key";
import { isTerminal, type JobRecord } from "../api/types";
import { asCurl, asPython } from "../jobs/copy";
import { kindOf } from "../jobs/kinds";
import { forget } from "../jobs/marks";
import { formatRoute } from "../route";
import { copy } from "../ui/clipboard";
import { Button } from "../ui/controls";
import { confirmed } from "../ui/confirm";
import { Icon } from "../ui/icons";
import { attempt } from "../ui/toast";

const REPEAT = "Repeat with changes";

/** Cancels or removes. Returns whether anything changed. */
export async function removeJob(record: JobRecord): Promise<boolean> {
  if (!isTerminal(record.state)) return attempt(() => api.cancelJob(record.id));
  const count = record.results.length;
  const detail = count > 0 ? `Its ${count === 1 ? "volume goes" : `${count} volumes go`} with it.` : "Its record goes.";
  if (!(await confirmed("Delete this job?", detail, "Delete"))) return false;
  if (!(await attempt(() => api.removeJob(record.id)))) return false;
  forget(record.id);
  return true;
}

function copyCall(call: string, what: string): void {
  void copy(call, what, "The text stands on the job's page.");
}

export function editLink(record: JobRecord, index: number): string {
  return formatRoute("edit", null, { model: record.model, source: `${record.id}/${index}` });
}

interface ActionsProps {
  record: JobRecord;
  /** Signs instead of words, for small places. */
  isCompact?: boolean;
  onGone: () => void;
}

export function Actions({ record, isCompact = false, onGone }: ActionsProps) {
  const isLive = !isTerminal(record.state);
  const remove = isLive ? "Cancel the job" : "Delete the job";
  return (
    <div class="actions">
      <a
        class={isCompact ? "button quiet square" : "button plain"}
        href={kindOf(record).repeat(record)}
        {...(isCompact && { title: REPEAT, "aria-label": REPEAT })}
      >
        <Icon name="repeat" />
        {!isCompact && REPEAT}
      </a>
      <Button kind="quiet" icon="copy" onClick={() => copyCall(asCurl(record, SERVICE, apiKey.value !== ""), "curl")}>
        curl
      </Button>
      <Button
        kind="quiet"
        icon="copy"
        onClick={() => copyCall(asPython(record, SERVICE, apiKey.value !== ""), "Python")}
      >
        Python
      </Button>
      <Button
        kind="quiet"
        icon={isLive ? "stop" : "trash"}
        label={remove}
        onClick={() => void removeJob(record).then((isChanged) => isChanged && onGone())}
      />
    </div>
  );
}
