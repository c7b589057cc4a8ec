// What the service says about a job beside its results: what may not mean what it is taken for, and what it assumed.
import type { JobRecord } from "../api/types";
import { Icon } from "../ui/icons";

export function Remarks({ record }: { record: JobRecord }) {
  const { warnings, assumed } = record;
  if (warnings.length + assumed.length === 0) return null;
  return (
    <div class={`notice ${warnings.length > 0 ? "warning" : "remark"}`} role="note" data-testid="remarks">
      <Icon name="warning" />
      <div>
        <Sentences title="Read this before you use it" sentences={warnings} />
        <Sentences title="Assumed of the scan" sentences={assumed} />
      </div>
    </div>
  );
}

function Sentences({ title, sentences }: { title: string; sentences: readonly string[] }) {
  if (sentences.length === 0) return null;
  return (
    <>
      <p class="notice-title">{title}</p>
      <ul>
        {sentences.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </>
  );
}
