// Translate: a scan in the appearance of the domain that a model was trained on.
import { signal, useSignal } from "@preact/signals";

import { api } from "../api/calls";
import { READABLE } from "../api/formats";
import { asProblem, type Problem } from "../api/problem";
import type { JobRecord, TranslateRequest, TranslatorCard } from "../api/types";
import { preferred, rememberModel, translators } from "../catalogue";
import { draft } from "../jobs/draft";
import { rememberScan } from "../jobs/scans";
import { announce } from "../jobs/watch";
import { note } from "../route";
import { unitOf } from "../text/words";
import { Button, Check, Meter, Select } from "../ui/controls";
import { DropZone } from "../ui/dropzone";
import { ModelPicker } from "../ui/modelcard";
import { ProblemNotice } from "../ui/notices";
import { type Output, OutputFields, outputOf, USUAL } from "./outputfields";
import { ScanStage } from "./scanstage";
import { SeriesField, seriesOf } from "./seriesfield";
import { useTakeOver } from "./takeover";

interface Form {
  model: string | null;
  areEdgesGiven: boolean;
  grid: "" | "scan" | "cube";
  series: string;
  output: Output;
}

const form = draft<Form>("translate", { model: null, areEdgesGiven: false, grid: "", series: "", output: USUAL });
const chosen = signal<File | null>(null);
const mask = signal<File | null>(null);

const GRIDS = [
  ["", "As the model has it"],
  ["scan", "The scan's true proportions"],
  ["cube", "Stretched to a cube"],
] as const;

function change(part: Partial<Form>): void {
  form.value = { ...form.value, ...part };
}

function requestOf({ areEdgesGiven, grid, series: typed, output }: Form, card: TranslatorCard): TranslateRequest {
  const edges = areEdgesGiven ? "given" : "computed";
  const series = seriesOf(chosen.value, typed);
  return { model: card.name, edges, grid: grid || null, series, output: { ...output, preview: true } };
}

export function TranslateView() {
  useTakeOver("translate", takeOver, chooseModel);
  return (
    <div class="work">
      <TranslateForm />
      <ScanStage
        label="Scan and translation"
        hint="Choose a scan. It is sent to this service alone, and comes back in the model's appearance."
        chosen={chosen.value}
      />
    </div>
  );
}

function chooseModel(name: string): void {
  change({ model: name });
}

/** The form as it was when the job was asked for. */
function takeOver({ request }: JobRecord): void {
  const old = request as Partial<TranslateRequest>;
  change({
    model: old.model ?? null,
    areEdgesGiven: old.edges === "given",
    grid: old.grid ?? "",
    series: String(old.series ?? ""),
    output: outputOf(old.output),
  });
}

function TranslateForm() {
  const { model, areEdgesGiven, grid, series, output } = form.value;
  const cards = translators();
  const card = preferred(cards, model);
  const isSending = useSignal(false);
  const refusal = useSignal<Problem | null>(null);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const file = chosen.value;
    if (!card || !file || isSending.value) return;
    isSending.value = true;
    refusal.value = null;
    try {
      const record = await api.translate(requestOf(form.value, card), file, mask.value);
      announce(record);
      rememberScan(record.id, file);
      rememberModel(card.name);
      note({ job: record.id, show: null, mode: null });
    } catch (fault) {
      refusal.value = asProblem(fault);
    }
    isSending.value = false;
  };
  const take = (file: File): void => {
    chosen.value = file;
    change({ series: "" });
    mask.value = null; // which lay on the other scan's grid
    refusal.value = null;
    note({ job: null, show: null });
  };

  return (
    <form class="panel" aria-label="Translate" onSubmit={(event) => void submit(event)}>
      <h1>Translate</h1>
      <ModelPicker value={card?.name ?? null} cards={cards} onChange={chooseModel} />
      {card && (
        <div class="fields">
          <DropZone label="Choose a scan" file={chosen.value} endings={READABLE} onFile={take} />
          <SeriesField file={chosen.value} value={series} onChange={(next) => change({ series: next })} />
          <Check
            label="It is an edge image"
            hint="Values from 0 to 255, drawn elsewhere. Otherwise the service draws the scan's edges."
            isOn={areEdgesGiven}
            onChange={(isOn) => change({ areEdgesGiven: isOn })}
          />
          <details class="more">
            <summary>Pathologies and proportions</summary>
            <div class="fields">
              <DropZone
                label="A mask of pathologies, on the scan's grid"
                file={mask.value}
                endings={READABLE}
                onFile={(file) => (mask.value = file)}
              />
              {mask.value && <Button onClick={() => (mask.value = null)}>Without the mask</Button>}
              <Select
                label="The networks see"
                value={grid}
                options={GRIDS}
                hint="The result lies on the scan's own grid either way."
                onChange={(next) => change({ grid: next })}
              />
            </div>
          </details>
          <OutputFields value={output} unit={unitOf(card)} onChange={(next) => change({ output: next })} />
          <Button kind="primary" type="submit" isDisabled={isSending.value || !chosen.value}>
            {isSending.value ? "Sending the scan" : "Translate"}
          </Button>
          <div class="slim">{isSending.value && <Meter fraction={null} label="Sending the scan" />}</div>
        </div>
      )}
      {refusal.value && <ProblemNotice problem={refusal.value} />}
    </form>
  );
}
