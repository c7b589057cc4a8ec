// Edit: one latent, changed: along directions, toward another, or with another's styles.
import { useEffect, useMemo } from "preact/hooks";

import { api } from "../../api/calls";
import type { EditRequest, Source } from "../../api/types";
import { cardOf, readyModels } from "../../catalogue";
import { draft } from "../../jobs/draft";
import { note, route } from "../../route";
import { Segments } from "../../ui/controls";
import { ModelPicker } from "../../ui/modelcard";
import { attempt } from "../../ui/toast";
import type { Start } from "../sourcepicker";
import { Directions } from "./directions";
import { Fit } from "./fit";
import { Interpolate } from "./interpolate";
import { Mix } from "./mix";

type Tab = "directions" | "interpolate" | "mix" | "new";
interface Form {
  model: string | null;
  start: Start;
  end: Start;
}

const form = draft<Form>("edit", { model: null, start: { kind: "seed", seed: 42 }, end: { kind: "seed", seed: 43 } });

function change(part: Partial<Form>): void {
  form.value = { ...form.value, ...part };
}

export function EditView() {
  const { query } = route.value;
  const { model, start, end } = form.value;
  const card = cardOf(model) ?? readyModels()[0] ?? null;
  const tabs = useMemo(() => tabsOf(card?.latent.has_style_space ?? false), [card]);
  const tab = tabs.find(([key]) => key === query["tab"])?.[0] ?? "directions";
  useEffect(() => void takeOver(query), [query["from"], query["source"], query["model"]]);
  const ends = {
    start,
    end,
    onStart: (next: Start) => change({ start: next }),
    onEnd: (next: Start) => change({ end: next }),
  };
  return (
    <div class="work">
      <div class="panel edit-head">
        <h1>Edit</h1>
        <ModelPicker value={card?.name ?? null} onChange={(name) => change({ model: name, ...FRESH })} />
        {card && (
          <Segments
            label="Kind of edit"
            value={tab}
            options={tabs}
            onChange={(next) => note({ tab: next === "directions" ? null : next })}
          />
        )}
      </div>
      {card && (
        <div class="edit-body" key={`${card.name} ${tab}`}>
          {tab === "directions" && <Directions card={card} start={start} onStart={ends.onStart} />}
          {tab === "interpolate" && <Interpolate card={card} {...ends} />}
          {tab === "mix" && <Mix card={card} {...ends} />}
          {tab === "new" && <Fit card={card} />}
        </div>
      )}
    </div>
  );
}

const FRESH = { start: { kind: "seed", seed: 42 }, end: { kind: "seed", seed: 43 } } as const;

function tabsOf(hasStyles: boolean): readonly (readonly [Tab, string])[] {
  const tabs: [Tab, string][] = [
    ["directions", "Directions"],
    ["interpolate", "Interpolate"],
  ];
  if (hasStyles) tabs.push(["mix", "Mix"]);
  return [...tabs, ["new", "New"]];
}

/** What a link brings along: a model, a result to start from, an earlier edit to repeat with changes. */
async function takeOver(query: Readonly<Record<string, string>>): Promise<void> {
  const { from, source, model } = query;
  if (model) change({ model });
  if (source) {
    const [job = "", index = "0"] = source.split("/");
    change({ start: { kind: "result", job, index: Number(index) } });
  }
  if (from) await attempt(() => repeat(from));
  if (from || source || model) note({ from: null, source: null, model: null });
}

async function repeat(from: string): Promise<void> {
  const request = (await api.job(from)).request as Partial<EditRequest>;
  const target = request.edit && "target" in request.edit ? startOf(request.edit.target) : null;
  change({
    model: request.model ?? null,
    start: startOf(request.source) ?? form.value.start,
    ...(target && { end: target }),
  });
  const op = request.edit?.op;
  note({ tab: op === "interpolate" || op === "mix" ? op : null });
}

function startOf(source: Source | undefined): Start | null {
  if (source && "seed" in source) return { kind: "seed", seed: source.seed };
  if (source && "job" in source) return { kind: "result", job: source.job, index: source.index ?? 0 };
  return null;
}
