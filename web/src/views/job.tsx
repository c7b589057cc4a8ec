// One job by its address: what was asked, what came of it, and how to ask again.
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";

import { SERVICE } from "../api/address";
import { apiKey } from "../api/key";
import { isTerminal, type JobRecord } from "../api/types";
import { cardOf } from "../catalogue";
import { asCurl, asPython, essentials } from "../jobs/copy";
import { kindOf } from "../jobs/kinds";
import { scanNameOf } from "../jobs/marks";
import { scanUnder, shownScan } from "../jobs/scans";
import { useJob } from "../jobs/watch";
import { formatRoute, go } from "../route";
import { seconds } from "../text/words";
import { Actions } from "./actions";
import { JobPanel } from "./jobpanel";
import { MissingScan } from "./missingscan";
import { Naming } from "./naming";

export function JobView({ id }: { id: string }) {
  const { record, problem } = useJob(id);
  const file = scanUnder(record);
  const scan = useMemo(() => file && shownScan(file), [file]);
  return (
    <div class="solo">
      <div class="gallery-head">
        <div>
          <h1>
            {record ? kindOf(record).name : "Job"} <span class="hint">{id.slice(0, 8)}</span>
          </h1>
          {record && <Naming record={record} />}
        </div>
        {record && <Actions record={record} onGone={() => isTerminal(record.state) && go(formatRoute("jobs"))} />}
      </div>
      <JobPanel record={record} problem={problem} scan={scan} />
      {record && <MissingScan record={record} />}
      {record && <About record={record} />}
    </div>
  );
}

function About({ record }: { record: JobRecord }) {
  const { created_at, expires_at, timings_s, attempts } = record;
  const scan = scanNameOf(record);
  const when = (told: string): string => new Date(told).toLocaleString("en-GB");
  const {
    r2,
    num_samples: samples,
    directions,
  } = (record.metrics ?? {}) as { r2?: number; num_samples?: number; directions?: string[] };
  const times = Object.entries(timings_s).filter(([, value]) => value >= 0.05);
  return (
    <div class="about">
      <Block title="Request">
        <dl class="facts">
          <Fact name="Model">
            {cardOf(record.model)?.title ?? record.model} <code>{record.model_sha256.slice(0, 12)}</code>
          </Fact>
          <Fact name="Made">{when(created_at)}</Fact>
          {scan && <Fact name="Scan">{scan}</Fact>}
          {expires_at && <Fact name="Kept until">{when(expires_at)}</Fact>}
          {directions && <Fact name="Directions">{directions.join(", ")}</Fact>}
          {typeof r2 === "number" && (
            <Fact name="R²">{`${r2.toFixed(2)} on held-out samples, of ${samples ?? 0}`}</Fact>
          )}
          {attempts > 1 && <Fact name="Attempts">{attempts}</Fact>}
          {times.length > 0 && (
            <Fact name="Time">{times.map(([name, value]) => `${name} ${seconds(value)}`).join(", ")}</Fact>
          )}
        </dl>
        <Code label="The request" text={JSON.stringify(essentials(record.request), shortened, 1)} />
      </Block>
      <Block title="As curl">
        <Code label="The call for a shell" text={asCurl(record, SERVICE, apiKey.value !== "")} />
      </Block>
      <Block title="As Python">
        <Code label="The call in Python" text={asPython(record, SERVICE, apiKey.value !== "")} />
      </Block>
    </div>
  );
}

/** Latents are long, and nobody reads them. */
function shortened(_name: string, value: unknown): unknown {
  return Array.isArray(value) && value.length > 12 ? [...value.slice(0, 4), `and ${value.length - 4} more`] : value;
}

function Block({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="panel">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Code({ label, text }: { label: string; text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must scroll by keyboard
    // biome-ignore lint/a11y/useSemanticElements: a section that is laid out as it is written
    <pre tabIndex={0} role="region" aria-label={label}>
      <code>{text}</code>
    </pre>
  );
}
