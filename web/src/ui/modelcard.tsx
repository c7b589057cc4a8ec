// The choice of a model, and its card: what it makes, from what, under which licence.
import type { ModelCard } from "../api/types";
import { loadModels, models, readyModels } from "../catalogue";
import { grid } from "../text/words";
import { Select } from "./controls";
import { Empty, ProblemNotice, Skeleton } from "./notices";

interface ModelPickerProps {
  value: string | null;
  /** Whether a model can be used here. */
  suits?: (card: ModelCard) => boolean;
  onChange: (name: string) => void;
}

export function ModelPicker({ value, suits = () => true, onChange }: ModelPickerProps) {
  const { value: all, problem } = models.value;
  if (problem) return <ProblemNotice problem={problem} onRetry={() => void loadModels()} />;
  if (!all) return <Skeleton lines={16} label="Loading the models" />;
  const usable = readyModels().filter(suits);
  if (usable.length === 0) {
    return (
      <Empty icon="warning" title="No model can be used here">
        <p>Start the service with a folder of models, or import one with the command line.</p>
      </Empty>
    );
  }
  const card = usable.find((entry) => entry.name === value) ?? usable[0];
  const broken = all.filter((model) => model.status === "broken");
  return (
    <>
      <Select
        label="Model"
        value={card?.name ?? ""}
        options={usable.map((entry) => [entry.name, entry.title || entry.name] as const)}
        onChange={onChange}
      />
      {card && <Card card={card} />}
      {broken.map((model) => (
        <p class="hint" key={model.name}>
          {model.name} cannot be used: {model.reason}
        </p>
      ))}
    </>
  );
}

function Card({ card }: { card: ModelCard }) {
  const facts: [string, string][] = [
    ["Shows", `${[card.anatomy, card.modality].filter(Boolean).join(", ")}`],
    ["Grid", `${grid(card.shape)} voxels of ${card.spacing_mm.map((side) => side.toFixed(2)).join(" × ")} mm${card.spacing_is_nominal ? ", nominal" : ""}`],
    ["Values", `${card.intensity.low} to ${card.intensity.high} ${card.intensity.units}`],
    ["Licence", card.licence || "not told"],
  ];
  if (card.classes.length > 0) facts.splice(2, 0, ["Classes", card.classes.join(", ")]);
  return (
    <div class="card">
      <p class="caution">Synthetic, not for diagnosis</p>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <details>
        <summary>About this model</summary>
        {card.description && <p>{card.description}</p>}
        <p>
          <code>{card.name}</code>, family {card.family}, SHA-256 <code>{card.sha256.slice(0, 12)}</code>
        </p>
        {card.provenance.sources.length > 0 && (
          <ul>
            {card.provenance.sources.map((source) => (
              <li key={source}>{source}</li>
            ))}
          </ul>
        )}
      </details>
    </div>
  );
}
