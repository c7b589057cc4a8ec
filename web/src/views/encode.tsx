// Encode: a scan to its latent, and back.
import { signal, useSignal } from "@preact/signals";

import { api } from "../api/calls";
import { READABLE } from "../api/formats";
import { asProblem, type Problem } from "../api/problem";
import type { EncodeRequest, JobRecord, ModelCard } from "../api/types";
import { generators, preferred, rememberModel } from "../catalogue";
import { draft } from "../jobs/draft";
import { rememberScan } from "../jobs/scans";
import { announce } from "../jobs/watch";
import { note } from "../route";
import { Button, Field, Meter, Select } from "../ui/controls";
import { DropZone } from "../ui/dropzone";
import { ModelPicker } from "../ui/modelcard";
import { ProblemNotice } from "../ui/notices";
import { NumberSlider } from "../ui/numberslider";
import { ClassField, givenFor, labelOf } from "./classfield";
import { ScanStage } from "./scanstage";
import { SeriesField, seriesOf } from "./seriesfield";
import { useTakeOver } from "./takeover";

interface Form {
  model: string | null;
  refine: number;
  label: string;
  orientation: string;
  trim: "" | "yes" | "no";
  series: string;
}

const form = draft<Form>("encode", { model: null, refine: 0, label: "", orientation: "", trim: "", series: "" });
const chosen = signal<File | null>(null);

function change(part: Partial<Form>): void {
  form.value = { ...form.value, ...part };
}

function requestOf({ refine, label, orientation, trim, series: typed }: Form, card: ModelCard): EncodeRequest {
  const preprocess = { orientation: orientation || null, trim_blank_slices: trim === "" ? null : trim === "yes" };
  const series = seriesOf(chosen.value, typed);
  const steps = card.is_open ? refine : 0;
  return { model: card.name, ...givenFor(card, label), reconstruct: true, refine_steps: steps, preprocess, series };
}

export function EncodeView() {
  useTakeOver("encode", takeOver, chooseModel);
  return (
    <div class="work">
      <EncodeForm />
      <ScanStage
        label="Scan and reconstruction"
        hint="Choose a head scan. It is sent to this service alone, turned into the model's latent, and back."
        chosen={chosen.value}
      />
    </div>
  );
}

function chooseModel(name: string): void {
  change({ model: name, label: "" });
}

/** The form as it was when the job was asked for. */
function takeOver({ request }: JobRecord): void {
  const old = request as Partial<EncodeRequest>;
  const { orientation, trim_blank_slices: trims = null } = old.preprocess ?? {};
  change({
    model: old.model ?? null,
    refine: old.refine_steps ?? 0,
    label: labelOf(request),
    orientation: orientation ?? "",
    series: String(old.series ?? ""),
    trim: trims === null ? "" : trims ? "yes" : "no",
  });
}

function EncodeForm() {
  const { model, refine, label, series } = form.value;
  const cards = generators("encode");
  const card = preferred(cards, model) ?? null;
  const isSending = useSignal(false);
  const refusal = useSignal<Problem | null>(null);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const file = chosen.value;
    if (!card || !file || isSending.value) return;
    isSending.value = true;
    refusal.value = null;
    try {
      const record = await api.encode(requestOf(form.value, card), file);
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
    refusal.value = null;
    note({ job: null, show: null });
  };

  return (
    <form class="panel" aria-label="Encode" onSubmit={(event) => void submit(event)}>
      <h1>Encode</h1>
      <ModelPicker value={card?.name ?? null} cards={cards} onChange={chooseModel} />
      {card && (
        <div class="fields">
          <DropZone label="Choose a scan" file={chosen.value} endings={READABLE} onFile={take} />
          <SeriesField file={chosen.value} value={series} onChange={(next) => change({ series: next })} />
          <ClassField card={card} value={label} onChange={(name) => change({ label: name })} />
          {card.is_open && (
            <NumberSlider
              label="Refinement"
              min={0}
              max={200}
              step={10}
              value={refine}
              text={refine === 0 ? "none" : `${refine} steps`}
              hint={
                card.has_encoder
                  ? "Steps of descent from the encoder's guess: nearer to the scan, and slower."
                  : "This model has no encoder: without a number it takes 100 steps from its mean latent."
              }
              onInput={(next) => change({ refine: next })}
            />
          )}
          <ScanReading />
          <Button kind="primary" type="submit" isDisabled={isSending.value || !chosen.value}>
            {isSending.value ? "Sending the scan" : "Encode and reconstruct"}
          </Button>
          <div class="slim">{isSending.value && <Meter fraction={null} label="Sending the scan" />}</div>
        </div>
      )}
      {refusal.value && <ProblemNotice problem={refusal.value} />}
    </form>
  );
}

/** For files that tell the wrong thing about themselves. */
function ScanReading() {
  const { orientation, trim } = form.value;
  return (
    <details class="more">
      <summary>How the scan is read</summary>
      <div class="fields">
        <Field label="Orientation" hint="Where each axis of the array points, such as LPS. Empty: as the file says.">
          {(id, hintId) => (
            <input
              id={id}
              type="text"
              pattern="[RLAPSI]{3}"
              maxLength={3}
              aria-describedby={hintId}
              value={orientation}
              onInput={(event) => change({ orientation: event.currentTarget.value.toUpperCase() })}
            />
          )}
        </Field>
        <Select
          label="Blank slices at the ends"
          value={trim}
          options={TRIM}
          onChange={(next) => change({ trim: next })}
        />
      </div>
    </details>
  );
}

const TRIM = [
  ["", "As the model has it"],
  ["yes", "Leave them out"],
  ["no", "Keep them"],
] as const;
