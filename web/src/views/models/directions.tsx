// A model's directions: what each changes, and how far it is to be trusted.
import type { Direction, ModelCard } from "../../api/types";
import { loadDirections, useDirections } from "../../catalogue";
import { changePerSd } from "../../jobs/directions";
import { formatRoute } from "../../route";
import { titled } from "../../text/words";
import { ProblemNotice, Skeleton } from "../../ui/notices";
import { RemoveDirection } from "../removedirection";

export function DirectionTable({ card }: { card: ModelCard }) {
  const { value: all, problem } = useDirections(card.name);
  return (
    <section class="panel">
      <h3>Directions</h3>
      {problem && <ProblemNotice problem={problem} onRetry={() => void loadDirections(card.name)} />}
      {!all && !problem && <Skeleton lines={4} label="Loading the directions" />}
      {all && all.length > 0 && <Table model={card.name} all={all} />}
      {all?.length === 0 && <p class="hint">None yet.</p>}
      <p>
        <a href={formatRoute("edit", null, { model: card.name, tab: "new" })}>Make a direction</a>
      </p>
    </section>
  );
}

function Table({ model, all }: { model: string; all: readonly Direction[] }) {
  return (
    <div class="scrolls">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Direction</th>
            <th scope="col">Per SD</th>
            <th scope="col">R²</th>
            <th scope="col">Found by</th>
            <th scope="col">
              <span class="unseen">Remove</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {all.map((direction) => (
            <tr key={direction.name}>
              <th scope="row">{titled(direction.name)}</th>
              <td>{changePerSd(direction) || "–"}</td>
              <td>{direction.r2?.toFixed(2) ?? "–"}</td>
              <td>
                {direction.method === "sefa" ? "SeFa" : "regression"}
                {direction.stale && <span class="hint"> of other weights: not usable</span>}
              </td>
              <td>{direction.shipped ? null : <RemoveDirection model={model} name={direction.name} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
