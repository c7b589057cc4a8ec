// What a model's card says: of what it makes, where it comes from, how it was judged, and the digests of its files.
import { useSignal } from "@preact/signals";

import { asProblem, type Problem } from "../../api/problem";
import type { AnyCard } from "../../api/types";
import { checkModel } from "../../catalogue";
import { figure } from "../../text/words";
import { Button } from "../../ui/controls";
import { factsOf } from "../../ui/modelcard";
import { ProblemNotice } from "../../ui/notices";
import { say } from "../../ui/toast";

export function About({ card }: { card: AnyCard }) {
  const { provenance } = card;
  return (
    <section class="panel">
      <h3>What it is</h3>
      <dl class="facts wide-facts">
        <Fact name="Name" value={card.name} />
        <Fact name="Family" value={card.family} />
        {factsOf(card).map(([name, value]) => (
          <Fact key={name} name={name} value={value} />
        ))}
        <Fact name="Verbs" value={card.verbs.join(", ")} />
        <Fact name={provenance.origin === "trained" ? "Trained by" : "Imported by"} value={provenance.command} />
        <Fact name="Iterations" value={told(provenance.iterations)} />
        <Fact name="With version" value={provenance.software_version} />
        <Fact name="Data under" value={provenance.licences.join("; ")} />
        <Fact name="Notes" value={provenance.notes} />
      </dl>
      {provenance.sources.length > 0 && (
        <details class="more">
          <summary>
            Made from {provenance.sources.length === 1 ? "1 source" : `${provenance.sources.length} sources`}
          </summary>
          <ul>
            {provenance.sources.map((source) => (
              <li key={source}>{source}</li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  if (!value) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function told(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}

export function Evaluation({ card }: { card: AnyCard }) {
  const { evaluation } = card;
  return (
    <section class="panel">
      <h3>Last evaluation</h3>
      {evaluation ? (
        <>
          <p class="hint">
            {evaluation.generated} volumes of seed {evaluation.seed} against {evaluation.reference} scans, by features
            of {evaluation.features}, version {evaluation.software_version}
          </p>
          <div class="scrolls">
            <table class="table">
              <thead>
                <tr>
                  <th scope="col">Measure</th>
                  <th scope="col">Value</th>
                  <th scope="col">Real scans</th>
                </tr>
              </thead>
              <tbody>
                {Object.entries(evaluation.measures).map(([name, { value, floor, reason }]) => (
                  <tr key={name}>
                    <th scope="row">
                      <code>{name}</code>
                    </th>
                    <td>{value === null ? <span class="hint">{reason ?? "none"}</span> : figure(value)}</td>
                    <td>{floor === null ? "" : figure(floor)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      ) : (
        <p class="hint">
          None of these weights. <code>voxelsmith evaluate --model {card.name} --attach</code> with a folder of scans
          leaves one here.
        </p>
      )}
    </section>
  );
}

/** The service hashes a folder's files once, and again when they change: those of a model that is ready were right. */
export function Digests({ card }: { card: AnyCard }) {
  const isChecking = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const check = async (): Promise<void> => {
    isChecking.value = true;
    problem.value = null;
    try {
      const found = await checkModel(card.name);
      if (found.status === "ready") say(`${card.name}: ready, as its card lists it.`);
    } catch (fault) {
      problem.value = asProblem(fault);
    }
    isChecking.value = false;
  };
  return (
    <section class="panel">
      <h3>Files</h3>
      <p class="verdict" data-testid="verdict">
        <span class="badge succeeded">Ready</span> Its files have these digests; with others it would be broken.
      </p>
      <dl class="facts wide-facts">
        {Object.entries(card.files).map(([name, digest]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <code>{digest}</code>
            </dd>
          </div>
        ))}
        {Object.entries(card.provenance.original_sha256).map(([name, digest]) => (
          <div key={name}>
            <dt>Made of {name}</dt>
            <dd>
              <code>{digest}</code>
            </dd>
          </div>
        ))}
      </dl>
      <div class="actions">
        <Button icon="repeat" isDisabled={isChecking.value} onClick={() => void check()}>
          Look again
        </Button>
      </div>
      <p class="hint">
        SHA-256. The service hashes the files of a folder when it first reads them, and again when they change; those in
        a bucket are hashed by the worker that fetches them. <code>voxelsmith models verify {card.name}</code> hashes a
        folder's in any case.
      </p>
      {problem.value && <ProblemNotice problem={problem.value} />}
    </section>
  );
}
