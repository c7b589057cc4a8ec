// Sliders along the model's named directions, any number of them at once.
import { signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { api } from "../../api/calls";
import { asProblem, type Problem } from "../../api/problem";
import type { Direction, EditRequest, JobRecord, ModelCard, Source } from "../../api/types";
import { loadDirections, useDirections } from "../../catalogue";
import { changePerSd, deviations, predicted, predicts } from "../../jobs/directions";
import { discard, drive } from "../../jobs/follow";
import { type Latent, type LatentSource, moved, type Step } from "../../jobs/latents";
import { scanOf } from "../../jobs/scans";
import { formatRoute } from "../../route";
import { titled } from "../../text/words";
import { Button } from "../../ui/controls";
import { Empty, ProblemNotice, Skeleton } from "../../ui/notices";
import { NumberSlider } from "../../ui/numberslider";
import type { Given } from "../classfield";
import { RemoveDirection } from "../removedirection";
import { keyOf, sourceOf, SourcePicker, type Start } from "../sourcepicker";
import { EDIT_OUTPUT, type Made, onOneGrid, useDriver } from "./driver";
import { Look, volumeOf } from "./look";
import { Reach, type Walk } from "./reach";

const REACH = 4;
/** A value to go to, from one start. */
type Goal = { place: string; name: string; value: number };
type Strengths = Readonly<Record<string, number>>;
/** Where the sliders of each start stood, for who comes back to it. */
const stood = new Map<string, Strengths>();

export function leaveSliders(model: string, start: Start, strengths: Strengths): void {
  stood.set(placeOf(model, start), strengths);
}

function placeOf(model: string, start: Start): string {
  return `${model} ${keyOf(start)}`;
}

/** The start as a volume and as a latent; and the directions' vectors, each fetched once. */
class Origin {
  readonly record = signal<JobRecord | null>(null);
  private readonly stop = new AbortController();
  private readonly vectors = new Map<string, Promise<number[]>>();
  private readonly made: Promise<Made>;
  private ended: string | null = null;

  constructor(
    private readonly model: string,
    private readonly given: Given,
    private readonly source: Source,
    post: () => Promise<JobRecord>,
    onMade: (made: Made) => void,
  ) {
    this.made = this.make(post, onMade);
    this.made.catch(() => undefined); // whoever awaits the origin hears of it
  }

  private async make(post: () => Promise<JobRecord>, onMade: (made: Made) => void): Promise<Made> {
    let made: Made | null = null;
    const ended = await drive(post, this.stop.signal, {
      changed: (record) => (this.record.value = record),
      made: (result, record) => {
        made = { result, record };
        onMade(made);
      },
      isPassing: true,
    });
    this.ended = ended?.id ?? null;
    if (!made) throw new DOMException("the start was changed", "AbortError");
    return made;
  }

  /** The request for these strengths: the last direction by the service's own edit, the others added to the latent. */
  async requestFor(
    strengths: Strengths,
    last: string,
    directions: readonly Direction[],
    edit: EditRequest["edit"] = { op: "move", direction: last, strengths: [strengths[last] ?? 0] },
  ): Promise<EditRequest> {
    const { result } = await this.made;
    const start = result.latent as unknown as LatentSource;
    const others = directions.filter(({ name }) => name !== last && (strengths[name] ?? 0) !== 0);
    const steps = await Promise.all(others.map((direction) => this.step(direction, strengths[direction.name] ?? 0)));
    const sum: LatentSource = { ...start, latent: moved(start.latent as Latent, steps) as LatentSource["latent"] };
    const source = others.length === 0 ? this.source : sum; // a job's own latent lies where its scan does
    return { model: this.model, source, ...this.given, edit, output: EDIT_OUTPUT };
  }

  private async step({ name, std }: Direction, strength: number): Promise<Step> {
    return { vector: await this.vector(name), std, strength };
  }

  /** What the direction predicts of the start. */
  async predict(direction: Direction): Promise<number | null> {
    const [{ result }, vector] = await Promise.all([this.made, this.vector(direction.name)]);
    return predicted(direction, vector, result.latent as unknown as LatentSource);
  }

  private vector(name: string): Promise<number[]> {
    let vector = this.vectors.get(name);
    if (!vector) {
      vector = api.direction(this.model, name).then((found) => found.vector);
      this.vectors.set(name, vector);
    }
    return vector;
  }

  get settled(): Promise<unknown> {
    return this.made;
  }

  /** Removes the start's job, which nobody asked for. Its volume must be on its way off the screen. */
  close(): void {
    this.stop.abort();
    if (this.ended) void discard(this.ended);
  }
}

export function Directions({
  card,
  given,
  start,
  onStart,
}: {
  card: ModelCard;
  given: Given;
  start: Start;
  onStart: (start: Start) => void;
}) {
  const { value: all, problem } = useDirections(card.name);
  const directions = useMemo(() => (all ?? []).filter((direction) => !direction.stale), [all]);
  const strengths = useSignal<Strengths>({});
  const first = useSignal<Made | null>(null);
  const fault = useSignal<Problem | null>(null);
  const asked = useSignal("");
  /** The value of an attribute that was asked for last, until a slider is moved. */
  const goal = useSignal<Goal | null>(null);
  const driver = useDriver();
  const names = directions.map(({ name }) => name).join(" ");

  // Nothing is made before a person asks for it, of this start.
  const place = placeOf(card.name, start);
  const isAsked = asked.value === place;
  const origin = useMemo(() => {
    const post = all && isAsked && startOf(card, given, start, directions[0] ?? null);
    return post ? new Origin(card.name, given, sourceOf(start), post, (made) => (first.value = made)) : null;
  }, [card.name, given.class_label, all === null, names, keyOf(start), isAsked]);
  useEffect(() => {
    strengths.value = stood.get(place) ?? {};
    first.value = null;
    fault.value = null;
    driver.reset();
    const lead = directions.find(({ name }) => (strengths.value[name] ?? 0) !== 0);
    const { value: wish } = goal;
    if (wish?.place === place && origin) reach(wish.name, wish.value);
    else if (lead && origin) turn(lead.name, strengths.value[lead.name] ?? 0);
    let isCurrent = true;
    origin?.settled.catch((thrown: unknown) => {
      if (isCurrent) fault.value = asProblem(thrown);
    });
    return () => {
      isCurrent = false;
      origin?.close();
    };
  }, [origin]);

  const turn = (name: string, strength: number): void => {
    goal.value = null;
    const wanted = { ...strengths.value, [name]: strength };
    strengths.value = wanted;
    leaveSliders(card.name, start, wanted);
    asked.value = place;
    if (origin) driver.ask(async () => (origin ? origin.requestFor(wanted, name, directions) : null));
  };
  const reach = (name: string, value: number): void => {
    goal.value = { place, name, value };
    asked.value = place;
    const edit = { op: "target" as const, direction: name, values: [value] };
    if (origin) driver.ask(async () => (origin ? origin.requestFor(strengths.value, name, directions, edit) : null));
  };
  // Where the service walked to is where the slider stands.
  const walk = walkOf(driver.record.value);
  useEffect(() => {
    if (!walk || walk.name !== goal.value?.name) return;
    strengths.value = { ...strengths.value, [walk.name]: walk.strength };
    leaveSliders(card.name, start, strengths.value);
  }, [walk?.job]);
  const made = onOneGrid(driver.results.value)[0] ?? first.value;
  const isMaking = origin !== null && !first.value && !fault.value;
  const isMoved = Object.values(strengths.value).some((strength) => strength !== 0);
  return (
    <>
      <div class="fields">
        <SourcePicker label="Start" model={card.name} value={start} onChange={onStart} />
        {!isAsked && (
          <Button kind="primary" isDisabled={!all} onClick={() => (asked.value = place)}>
            Show the start
          </Button>
        )}
        {problem && <ProblemNotice problem={problem} onRetry={() => void loadDirections(card.name)} />}
        {!all && !problem && <Skeleton lines={4} label="Loading the directions" />}
        {all && directions.length === 0 && (
          <Empty icon="edit" title="No directions yet">
            <p>
              Make one under <a href={formatRoute("edit", null, { tab: "new", model: card.name })}>New</a>: the service
              measures samples and finds the direction that changes them.
            </p>
          </Empty>
        )}
        {directions.map((direction) => (
          <DirectionSlider
            key={direction.name}
            direction={direction}
            model={card.name}
            value={strengths.value[direction.name] ?? 0}
            onTurn={turn}
          >
            {predicts(direction) && (
              <Reach
                direction={direction}
                start={first.value && origin}
                walk={goal.value?.name === direction.name && walk?.name === direction.name ? walk : null}
                onReach={(value) => reach(direction.name, value)}
              />
            )}
          </DirectionSlider>
        ))}
        {isMoved && (
          <Button
            icon="reset"
            onClick={() => {
              strengths.value = {};
              goal.value = null;
              stood.delete(place);
              driver.reset();
            }}
          >
            Back to the start
          </Button>
        )}
      </div>
      <section class="stage" aria-label="Edited volume">
        <Look
          start={volumeOf(first.value, "Start")}
          now={volumeOf(made, made === first.value ? "Start" : "Edited")}
          scan={start.kind === "result" ? scanOf(start.job) : null}
          record={driver.record.value ?? origin?.record.value ?? null}
          isBusy={driver.isBusy.value || isMaking}
          idle={isMaking ? "Making the start" : isAsked ? undefined : "Nothing is made before you ask for it"}
          problem={driver.problem.value ?? fault.value}
        />
      </section>
    </>
  );
}

/** How the start is made: as a move of no length; or, where there is no direction yet, from its seed. */
function startOf(
  { name: model }: ModelCard,
  given: Given,
  start: Start,
  lead: Direction | null,
): (() => Promise<JobRecord>) | null {
  if (start.kind === "result" && !start.job) return null;
  if (lead) {
    const edit = { op: "move" as const, direction: lead.name, strengths: [0] };
    return () => api.edit({ model, source: sourceOf(start), edit, ...given, output: EDIT_OUTPUT });
  }
  if (start.kind === "result") return null;
  return () => api.generate({ model, seed: start.seed, ...given, output: EDIT_OUTPUT });
}

interface DirectionSliderProps {
  direction: Direction;
  model: string;
  value: number;
  onTurn: (name: string, strength: number) => void;
  children?: ComponentChildren;
}

function DirectionSlider({ direction, model, value, onTurn, children }: DirectionSliderProps) {
  const { name, r2, shipped } = direction;
  const limit = Math.max(REACH, Math.ceil(Math.abs(value))); // a value of the attribute may lie farther
  const trust = r2 === null ? "" : `R² ${r2.toFixed(2)}`;
  return (
    <div class="direction">
      <NumberSlider
        label={titled(name)}
        min={-limit}
        max={limit}
        step={0.25}
        value={value}
        text={deviations(value)}
        hint={[perSd(direction), trust].filter(Boolean).join("; ")}
        onInput={(strength) => onTurn(name, strength)}
        onReset={() => onTurn(name, 0)}
      />
      {!shipped && <RemoveDirection model={model} name={name} />}
      {children}
    </div>
  );
}

/** How far the service walked to a value, once it says so. */
function walkOf(record: JobRecord | null): Walk | null {
  const edit = record?.request["edit"] as EditRequest["edit"] | undefined;
  const [strength] = (record?.metrics?.["strengths"] ?? []) as (number | null)[];
  if (!record || edit?.op !== "target" || typeof strength !== "number") return null;
  return { job: record.id, name: edit.direction, value: edit.values[0] ?? 0, strength };
}

function perSd(direction: Direction): string {
  const change = changePerSd(direction);
  return change && `${change} per SD`;
}
