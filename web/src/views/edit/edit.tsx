// Edit: one latent, changed: along directions, toward another, or with another's styles.
import { useEffect, useMemo } from "preact/hooks";

import { api } from "../../api/calls";
import type { EditRequest, Source } from "../../api/types";
import { generators, preferred } from "../../catalogue";
import { draft } from "../../jobs/draft";
import { note, route } from "../../route";
import { Segments } from "../../ui/controls";
import { ModelPicker } from "../../ui/modelcard";
import { attempt } from "../../ui/toast";
import { ClassField, givenFor, labelOf } from "../classfield";
import type { Start } from "../sourcepicker";
import { Directions, leaveSliders } from "./directions";
import { Fit } from "./fit";
import { Interpolate } from "./interpolate";
import { Mix } from "./mix";

type Tab = "directions" | "interpolate" | "mix" | "new";
interface Form {
  model: string | null;
  start: Start;
  end: Start;
  label: string;
}

const FRESH = { start: { kind: "seed", seed: 42 }, end: { kind: "seed", seed: 43 }, label: "" } as const;
const form = draft<Form>("edit", { model: null, ...FRESH });

function change(part: Partial<Form>): void {
  form.value = { ...form.value, ...part };
}

export function EditView() {
  const { query } = route.value;
  const { model, start, end, label } = form.value;
  const cards = generators("edit");
  const card = preferred(cards, model);
  const given = card ? givenFor(card, label) : {};
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
        <ModelPicker value={card?.name ?? null} cards={cards} onChange={(name) => change({ model: name, ...FRESH })} />
        {card && <ClassField card={card} value={label} onChange={(name) => change({ label: name })} />}
        {card && (
          <Segments
            label="Kind of edit"
            value={tab}
            options={tabs}
            onChange={(next) => note({ tab: next === "directions" ? null : next })}
          />
        )}
      </div>
      {card && !bringsAnything(query) && (
        <div class="edit-body" key={`${card.name} ${tab}`}>
          {tab === "directions" && <Directions card={card} given={given} start={start} onStart={ends.onStart} />}
          {tab === "interpolate" && <Interpolate card={card} given={given} {...ends} />}
          {tab === "mix" && <Mix card={card} given={given} {...ends} />}
          {tab === "new" && <Fit card={card} />}
        </div>
      )}
    </div>
  );
}

function tabsOf(hasStyles: boolean): readonly (readonly [Tab, string])[] {
  const tabs: [Tab, string][] = [
    ["directions", "Directions"],
    ["interpolate", "Interpolate"],
  ];
  if (hasStyles) tabs.push(["mix", "Mix"]);
  return [...tabs, ["new", "New"]];
}

function bringsAnything({ from, source, model }: Readonly<Record<string, string>>): boolean {
  return !!(from || source || model);
}

/** What a link brings along: a model, a result to start from, an earlier edit to repeat with changes. */
async function takeOver(query: Readonly<Record<string, string>>): Promise<void> {
  if (!bringsAnything(query)) return;
  const { from, source, model } = query;
  const brought: Partial<Form> = model ? { model } : {};
  if (source) {
    const [job = "", index = "0"] = source.split("/");
    brought.start = { kind: "result", job, index: Number(index) };
    await attempt(async () => (brought.label = labelOf((await api.job(job)).request)));
  }
  change(brought);
  if (from) await attempt(() => repeat(from));
  note({ from: null, source: null, model: null });
}

/** An edit of a bare latent, as the sliders make them, has no start but what it made. */
async function repeat(from: string): Promise<void> {
  const record = await api.job(from);
  const { model, source, edit } = record.request as unknown as EditRequest;
  const made: Start | null = record.results.length > 0 ? { kind: "result", job: from, index: 0 } : null;
  const start = startOf(source) ?? made ?? form.value.start;
  const target = "target" in edit ? startOf(edit.target) : null;
  if (edit.op === "move" && startOf(source)) leaveSliders(model, start, { [edit.direction]: edit.strengths[0] ?? 0 });
  change({ model, start, ...(target && { end: target }), label: labelOf(record.request) });
  note({ tab: edit.op === "interpolate" || edit.op === "mix" ? edit.op : null });
}

function startOf(source: Source | undefined): Start | null {
  if (source && "seed" in source) return { kind: "seed", seed: source.seed };
  if (source && "job" in source) return { kind: "result", job: source.job, index: source.index ?? 0 };
  return null;
}
