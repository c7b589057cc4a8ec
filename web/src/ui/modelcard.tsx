// The choice of a model, and its card: what it makes, from what, under which licence.
import type { AnyCard } from "../api/types";
import { loadModels, models } from "../catalogue";
import { grid, sizeOf } from "../text/words";
import { Select } from "./controls";
import { Empty, ProblemNotice, Skeleton } from "./notices";

interface ModelPickerProps {
  value: string | null;
  /** Those that can be used here. */
  cards: readonly AnyCard[];
  onChange: (name: string) => void;
}

export function ModelPicker({ value, cards, onChange }: ModelPickerProps) {
  const { value: all, problem } = models.value;
  if (problem) return <ProblemNotice problem={problem} onRetry={() => void loadModels()} />;
  if (!all) return <Skeleton lines={16} label="Loading the models" />;
  if (cards.length === 0) {
    return (
      <Empty icon="warning" title="No model can be used here">
        <p>Start the service with a folder of models, or import one with the command line.</p>
      </Empty>
    );
  }
  const card = cards.find((entry) => entry.name === value) ?? cards[0];
  const broken = all.filter((model) => model.status === "broken");
  return (
    <>
      <Select
        label="Model"
        value={card?.name ?? ""}
        options={cards.map((entry) => [entry.name, titleOf(entry)] as const)}
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

/** The name is what files, calls and the command line have; the title alone may be another model's too. */
export function titleOf({ name, title }: AnyCard): string {
  return title && title !== name ? `${title} (${name})` : name;
}

export function factsOf(card: AnyCard): (readonly [string, string])[] {
  const shows = ["Shows", [card.anatomy, card.modality].filter(Boolean).join(", ")] as const;
  const values = ["Values", `${card.intensity.low} to ${card.intensity.high} ${card.intensity.units}`] as const;
  const licence = ["Licence", card.licence || "not told"] as const;
  if (!("latent" in card)) {
    const from = card.source_domains.join(", ") || "any scan";
    return [shows, ["From", from], ["To", card.target_domain || "not told"], values, licence];
  }
  const nominal = card.spacing_is_nominal ? ", nominal" : "";
  const side = card.spacing_mm.map((mm) => mm.toFixed(2)).join(" × ");
  const place = ["Grid", `${grid(card.shape)} voxels of ${side} mm${nominal}`] as const;
  const size = ["Size", `${sizeOf(card)}${nominal}`] as const;
  const classes = card.classes.length > 0 ? [["Classes", card.classes.join(", ")] as const] : [];
  return [shows, place, size, ...classes, values, licence];
}

function Card({ card }: { card: AnyCard }) {
  return (
    <div class="card">
      <p class="caution">Synthetic, not for diagnosis</p>
      <dl class="facts">
        {factsOf(card).map(([name, value]) => (
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
          <code>{card.name}</code>, family {card.family}, SHA-256 <code>{card.sha256.slice(0, 12)}</code>.{" "}
          <a href={`#/models?model=${card.name}`}>All about it</a>
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
