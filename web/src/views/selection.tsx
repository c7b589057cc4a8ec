// Several jobs removed at once, after one question.
import { useSignal } from "@preact/signals";

import { api } from "../api/calls";
import { isTerminal, type JobRecord } from "../api/types";
import { forget } from "../jobs/marks";
import { type Refusal, removeAll } from "../jobs/removal";
import { volumes } from "../text/words";
import { confirmed } from "../ui/confirm";
import { Button } from "../ui/controls";
import { Icon } from "../ui/icons";
import { say } from "../ui/toast";
import { titleOfJob } from "./jobcard";

interface SelectionProps {
  shown: readonly JobRecord[];
  chosen: readonly JobRecord[];
  onPick: (records: readonly JobRecord[]) => void;
  onGone: () => void;
}

export function Selection({ shown, chosen, onPick, onGone }: SelectionProps) {
  const done = useSignal<number | null>(null);
  const refused = useSignal<readonly Refusal[]>([]);
  const removeChosen = async (): Promise<void> => {
    refused.value = [];
    if (!(await confirmed(`Delete ${jobs(chosen.length)}?`, consequence(chosen), "Delete"))) return;
    done.value = 0;
    const found = await removeAll(chosen, remove, (count) => (done.value = count));
    done.value = null;
    refused.value = found;
    onPick(found.map(({ record }) => record));
    const left = chosen.length - found.length;
    if (left > 0) say(`${jobs(left)} deleted or canceled.`);
    onGone();
  };
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot lie in a row in every browser */}
      <div class="actions" role="group" aria-label="Selection">
        <Button kind="quiet" isDisabled={chosen.length === shown.length} onClick={() => onPick(shown)}>
          Select all
        </Button>
        <Button kind="quiet" isDisabled={chosen.length === 0} onClick={() => onPick([])}>
          Select none
        </Button>
        <Button
          icon="trash"
          isDisabled={chosen.length === 0 || done.value !== null}
          onClick={() => void removeChosen()}
        >
          {done.value === null
            ? `Delete ${chosen.length === 0 ? "the selection" : jobs(chosen.length)}`
            : `${done.value} of ${chosen.length}`}
        </Button>
      </div>
      {refused.value.length > 0 && <Refusals refused={refused.value} />}
    </>
  );
}

function jobs(count: number): string {
  return count === 1 ? "1 job" : `${count} jobs`;
}

function consequence(chosen: readonly JobRecord[]): string {
  const live = chosen.filter(({ state }) => !isTerminal(state)).length;
  const made = chosen.reduce((sum, { results }) => sum + results.length, 0);
  const lost = made > 0 ? `${volumes(made)} ${made === 1 ? "goes" : "go"} with them. ` : "";
  const stopped = live > 0 ? `${jobs(live)} that ${live === 1 ? "runs or waits is" : "run or wait are"} canceled.` : "";
  return `${lost}${stopped}`.trim() || "Their records go.";
}

async function remove(record: JobRecord): Promise<void> {
  if (!isTerminal(record.state)) return void (await api.cancelJob(record.id));
  await api.removeJob(record.id);
  forget(record.id);
}

function Refusals({ refused }: { refused: readonly Refusal[] }) {
  return (
    <div class="notice problem" role="alert">
      <Icon name="warning" />
      <div>
        <p class="notice-title">{jobs(refused.length)} could not be deleted</p>
        <ul>
          {refused.map(({ record, problem }) => (
            <li key={record.id}>
              {titleOfJob(record)}: {problem.title}. {problem.detail}
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
