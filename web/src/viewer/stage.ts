// Stage: what the viewer shows, apart from how it looks. One slot for each canvas; NiiVue arrives with the first volume.
import { type Signal, signal } from "@preact/signals";

import { asProblem, isAbort, Problem } from "../api/problem";
import { persist, tryNow } from "../api/retry";
import type { ColourMap } from "./colours";
import type { Histogram } from "./histogram";
import type { LayerKind } from "./layers";
import { pointOf } from "./measure/lattice";
import { Measuring } from "./measure/measuring";
import type { Axis, Slices, Triple } from "./moves";
import type { Heard, Intensities, Layout, Pane, Place, Range } from "./pane";
import type { Told, VolumeFile } from "./volume";

/** A volume that can be shown. Two with one key are the same volume. */
export interface Shown {
  key: string;
  title: string;
  unit: string;
  /** Volumes with one scale have comparable values: their windows are one, and their difference needs no matching. */
  scale: string;
  /** The usual window, for files that tell none. */
  window: Intensities | null;
  open: (signal: AbortSignal, told: Told) => Promise<VolumeFile>;
}

/** Both beside each other, one cut open to the other, or one laid over the other. */
export type Mode = "single" | "pair" | "swipe" | LayerKind;

export function hasTwoPanes(mode: Mode): boolean {
  return mode === "pair" || mode === "swipe";
}

interface Layer {
  kind: LayerKind;
  other: Shown;
}

function layerOf({ first, second, mode }: Wish): Layer | null {
  if (mode === "single" || hasTwoPanes(mode) || !first || !second) return null;
  return { kind: mode as LayerKind, other: mode === "edges" ? first : second };
}

export type Status =
  | { phase: "empty" }
  | { phase: "loading"; fraction: number | null }
  | { phase: "shown"; key: string; since: number }
  | { phase: "failed"; problem: Problem };

export interface Cursor {
  mm: Place;
  values: readonly (number | null)[];
  difference: number | null;
}

export interface Wish {
  first: Shown | null;
  second: Shown | null;
  mode: Mode;
}

/** The axis whose slices a layout shows alone. */
const AXIS_OF: Record<Layout, Axis | null> = { multi: null, axial: 2, coronal: 1, sagittal: 0, render: null };

/** Something that is there for the first who asks. */
class Once<T> {
  constructor(private left: T | null) {}

  take(): T | null {
    const taken = this.left;
    this.left = null;
    return taken;
  }
}

class Slot {
  readonly status: Signal<Status> = signal<Status>({ phase: "empty" });
  readonly range = signal<Range | null>(null);
  readonly colours = signal<ColourMap>("gray");
  /** How often each value is there; a volume that takes another's place keeps the old until it was counted. */
  readonly counted = signal<Histogram | null>(null);
  /** Where the colours of a difference end; null where none is shown. */
  readonly reach = signal<number | null>(null);
  /** Whether the 3D view is still to come. */
  readonly isRendering = signal(false);
  /** How often the canvas was drawn. */
  readonly drawn = signal(0);
  pane: Pane | null = null;
  /** Of what is laid over the volume. */
  opacity = 0.5;
  private key = "";
  private scale = "";
  private loading: AbortController | null = null;
  private early: { key: string; file: Promise<VolumeFile> } | null = null;

  /** Brings a volume, and perhaps a layer over it, onto the canvas. A newer call stops an older one. */
  async present(first: Shown | null, layer: Layer | null): Promise<void> {
    const key = first ? `${first.key} ${layer?.kind ?? ""} ${layer?.other.key ?? ""}` : "";
    if (key === this.key) return;
    if (!this.pane) return this.fetchEarly(first);
    this.key = key;
    if (this.early?.key !== first?.key) this.loading?.abort();
    this.loading = this.early && this.loading ? this.loading : new AbortController();
    const { signal } = this.loading;
    if (!first) return this.empty();
    try {
      await this.load(this.pane, first, layer, signal);
    } catch (fault) {
      if (signal.aborted || isAbort(fault)) return;
      this.key = "";
      this.status.value = { phase: "failed", problem: asProblem(fault) };
    }
  }

  /** The volume comes while NiiVue does. */
  private fetchEarly(first: Shown | null): void {
    if (first?.key === this.early?.key) return;
    this.loading?.abort();
    this.loading = new AbortController();
    const file = first?.open(this.loading.signal, () => undefined);
    file?.catch(() => undefined); // told when it is asked for
    this.early = first && file ? { key: first.key, file } : null;
    this.status.value = first ? { phase: "loading", fraction: null } : { phase: "empty" };
  }

  private async load(pane: Pane, first: Shown, layer: Layer | null, signal: AbortSignal): Promise<void> {
    const told: Told = (fraction) => {
      if (!signal.aborted) this.status.value = { phase: "loading", fraction };
    };
    told(null);
    const early = new Once(this.early?.key === first.key ? this.early.file : null);
    this.early = null;
    const tried = (problem: Problem | null): void => {
      if (problem && !signal.aborted) this.status.value = { phase: "failed", problem };
    };
    const file = await persist(() => early.take() ?? first.open(signal, told), signal, tried);
    signal.throwIfAborted();
    pane.dropOverlay();
    this.reach.value = null;
    if (first.scale !== this.scale) this.counted.value = null;
    this.scale = first.scale;
    await pane.show(file, first.scale, first.window);
    this.range.value = pane.range;
    if (layer) {
      const second = await persist(() => layer.other.open(signal, told), signal, tried);
      signal.throwIfAborted();
      this.reach.value = await pane.lay(layer.kind, second, first.scale === layer.other.scale, this.opacity);
    }
    if (signal.aborted) return;
    this.status.value = { phase: "shown", key: first.key, since: performance.now() };
    void this.count(pane, signal);
  }

  /** After the picture is there: nobody waits for the histogram. */
  private async count(pane: Pane, signal: AbortSignal): Promise<void> {
    const rest = async (): Promise<void> => {
      await breath();
      signal.throwIfAborted();
      if (this.pane !== pane) throw new DOMException("The pane was closed", "AbortError");
    };
    try {
      this.counted.value = await pane.histogram(rest);
    } catch (fault) {
      if (!isAbort(fault)) throw fault;
    }
  }

  private empty(): void {
    this.pane?.clear();
    this.range.value = null;
    this.counted.value = null;
    this.reach.value = null;
    this.status.value = { phase: "empty" };
  }

  close(): void {
    this.loading?.abort();
    this.early = null;
    this.pane?.close();
    this.pane = null;
    this.key = "";
    this.range.value = null;
    this.counted.value = null;
    this.reach.value = null;
    this.status.value = { phase: "empty" };
  }
}

export class Stage {
  readonly slots = [new Slot(), new Slot()] as const;
  readonly layout = signal<Layout>("multi");
  readonly isRadiological = signal(true);
  readonly cursor = signal<Cursor | null>(null);
  /** Of the first volume. */
  readonly slices = signal<Slices | null>(null);
  /** Whether a drag moves the image rather than the cursor. */
  readonly isPanning = signal(false);
  readonly measuring = new Measuring(() => this.slots.map(({ pane }) => pane?.voxels ?? null));
  private wish: Wish = { first: null, second: null, mode: "single" };
  private isHeld = false;

  /** Gives a slot its canvas. */
  async mount(index: 0 | 1, canvas: HTMLCanvasElement): Promise<void> {
    const slot = this.slots[index];
    try {
      await painted();
      const { Pane } = await import("./pane");
      if (!canvas.isConnected) return;
      const pane = await Pane.open(canvas, this.heard(index));
      if (!canvas.isConnected) return pane.close();
      slot.pane = pane;
      pane.hold(this.isHeld);
      pane.setLayout(this.layout.value);
      pane.setColours(slot.colours.value);
      pane.setDragging(this.isPanning.value);
      pane.setRadiological(this.isRadiological.value);
      this.link();
      await this.reconcile();
    } catch (fault) {
      slot.status.value = { phase: "failed", problem: noGraphics(fault) };
    }
  }

  unmount(index: 0 | 1): void {
    this.slots[index].close();
    this.slots[index === 0 ? 1 : 0].pane?.unlink();
  }

  async present(wish: Wish): Promise<void> {
    this.wish = wish;
    await this.reconcile();
  }

  /** Tries again what could not be loaded. */
  async retry(): Promise<void> {
    tryNow();
    await this.reconcile();
  }

  private async reconcile(): Promise<void> {
    const { first, second, mode } = this.wish;
    await Promise.all([
      this.slots[0].present(mode === "edges" ? second : first, layerOf(this.wish)),
      this.slots[1].present(hasTwoPanes(mode) ? second : null, null),
    ]);
    if (this.cursor.value) this.read(this.cursor.value.mm); // other volumes lie under it now
    this.measuring.measure();
    const range = this.slots[0].range.value;
    if (!range || !this.slots[1].range.value) return;
    this.setRange(0, range); // a volume that came later takes the other's window
    this.setColours(0, this.slots[0].colours.value);
  }

  private link(): void {
    const [first, second] = this.slots;
    // NiiVue's Pane class is at hand wherever a pane is.
    if (first.pane && second.pane) (first.pane.constructor as typeof Pane).link(first.pane, second.pane);
  }

  private heard(index: 0 | 1): Heard {
    return {
      moved: (mm) => this.read(mm),
      windowed: (range) => this.setRange(index, range),
      drawn: (isBehind) => {
        this.slots[index].isRendering.value = isBehind;
        this.slots[index].drawn.value += 1;
      },
    };
  }

  private read(mm: Place): void {
    const values = this.slots.map((slot) => slot.pane?.valueAt(mm) ?? null);
    const difference = this.wish.mode === "difference" ? (this.slots[0].pane?.differenceAt(mm) ?? null) : null;
    this.cursor.value = { mm, values, difference };
    this.slices.value = this.slots[0].pane?.slices ?? null;
    const { begun, end, isDragging } = this.measuring;
    if (begun.value && !isDragging) end.value = this.slots[begun.value.pane].pane?.spot ?? null;
  }

  goToSlice(axis: Axis, slice: number): void {
    const at = this.slots[0].pane?.slices?.at;
    if (at)
      this.goToVoxel(
        0,
        pointOf((k) => (k === axis ? slice : at[k])),
      );
  }

  goToVoxel(index: 0 | 1, voxel: Triple): void {
    const [pane, other] = [this.slots[index].pane, this.slots[index === 0 ? 1 : 0].pane];
    pane?.goToVoxel(voxel);
    if (pane) other?.goTo(pane.place); // NiiVue links what has the focus, and no other
  }

  beginAt(index: 0 | 1, axis: Axis, voxel: Triple): void {
    const lattice = this.slots[index].pane?.voxels?.lattice;
    if (lattice) this.measuring.begin({ pane: index, lattice, voxel, axis, isDragged: true });
  }

  /** Takes the cursor's place as one end, then as the other. */
  mark(index: 0 | 1): void {
    const { measuring, layout } = this;
    const at = measuring.begun.value?.pane ?? index;
    const { voxels, spot } = this.slots[at].pane ?? {};
    if (!voxels || !spot) return;
    const { lattice } = voxels;
    if (measuring.begun.value) measuring.finish(spot);
    else measuring.begin({ pane: at, lattice, voxel: spot, axis: AXIS_OF[layout.value], isDragged: false });
  }

  /** Null shows the whole image again. */
  zoom(times: number | null): void {
    this.see((pane) => (times === null ? pane.setView() : pane.zoom(times)));
  }

  pan(towards: Triple): void {
    this.see((pane) => pane.pan(towards));
  }

  /** Both panes show the same part. */
  private see(change: (pane: Pane) => void): void {
    const [{ pane }, other] = this.slots;
    if (!pane) return;
    change(pane);
    other.pane?.setView(pane.view);
  }

  setPanning(isPanning: boolean): void {
    this.isPanning.value = isPanning;
    for (const { pane } of this.slots) pane?.setDragging(isPanning);
  }

  /** Puts off what takes long to draw. */
  hold(isHeld: boolean): void {
    this.isHeld = isHeld;
    for (const { pane } of this.slots) pane?.hold(isHeld);
  }

  setLayout(layout: Layout): void {
    this.layout.value = layout;
    for (const { pane } of this.slots) pane?.setLayout(layout);
  }

  setRadiological(isRadiological: boolean): void {
    this.isRadiological.value = isRadiological;
    for (const { pane } of this.slots) pane?.setRadiological(isRadiological);
  }

  /** Sets the window of a volume, and of the other where both have one scale. */
  setRange(index: 0 | 1, range: Intensities): void {
    const isShared = this.wish.first?.scale === this.wish.second?.scale;
    this.slots.forEach((slot, at) => {
      if (!slot.pane || (at !== index && !isShared)) return;
      slot.pane.setRange(range);
      if (slot.range.value) slot.range.value = { ...slot.range.value, ...range };
    });
  }

  /** The colours of a volume, and of the other where both have one scale. */
  setColours(index: 0 | 1, colours: ColourMap): void {
    const isShared = this.wish.first?.scale === this.wish.second?.scale;
    this.slots.forEach((slot, at) => {
      if (at !== index && !isShared) return;
      slot.colours.value = colours;
      slot.pane?.setColours(colours);
    });
  }

  setOpacity(opacity: number): void {
    const [slot] = this.slots;
    slot.opacity = opacity;
    slot.pane?.setOpacity(opacity);
  }

  close(): void {
    for (const slot of this.slots) slot.close();
  }
}

/** Lets the page answer before the next piece of work. */
function breath(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** The page is on screen before NiiVue takes the graphics for itself. */
function painted(): Promise<void> {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, 500); // a tab in the background paints nothing
  });
}

function noGraphics(fault: unknown): Problem {
  const canDraw = document.createElement("canvas").getContext("webgl2") !== null;
  if (canDraw) return asProblem(fault);
  return new Problem(
    "No 3D graphics",
    "This browser has no WebGL 2, which the viewer needs. The files can still be downloaded.",
  );
}
