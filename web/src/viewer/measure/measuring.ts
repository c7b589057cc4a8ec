// Measuring: what was drawn, what is being drawn, and what it comes to in each volume.
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";

import type { Axis, Lattice, Point } from "./lattice";
import { type Measured, measured, type Voxels } from "./region";
import { type Region, type Shape, shapeOf, type Tool } from "./shapes";

export interface Measure {
  /** From 1, as it stands beside the shape. */
  number: number;
  shape: Shape;
}

/** A place that was marked on one of the volumes; the other end goes with the hand or the cursor. */
export interface Mark {
  pane: 0 | 1;
  lattice: Lattice;
  voxel: Point;
  /** The slices that are drawn on; null where the cursor may be moved through them. */
  axis: Axis | null;
  isDragged: boolean;
}

/** What a region comes to in the first and in the second volume; null where there is no volume, or none of plain numbers. */
export type Found = readonly [Measured | null, Measured | null];

export class Measuring {
  readonly isOn = signal(false);
  readonly tool: Signal<Tool> = signal<Tool>("distance");
  /** Through how many slices a rectangle or an ellipse goes. */
  readonly depth = signal(1);
  readonly measures = signal<readonly Measure[]>([]);
  readonly begun = signal<Mark | null>(null);
  /** Where the other end of what is begun is, in voxels. */
  readonly end = signal<Point | null>(null);
  readonly found = signal<ReadonlyMap<number, Found>>(new Map());
  readonly draft: ReadonlySignal<Shape | null> = computed(() => {
    const [begun, end] = [this.begun.value, this.end.value];
    return begun && end ? this.between(begun, end) : null;
  });
  private last = 0;

  constructor(private readonly voxels: () => readonly (Voxels | null)[]) {}

  turn(isOn: boolean): void {
    this.isOn.value = isOn;
    this.drop();
  }

  choose(tool: Tool): void {
    this.tool.value = tool;
    this.drop();
  }

  begin(mark: Mark): void {
    this.begun.value = mark;
    this.end.value = mark.voxel;
  }

  /** Takes what lies between the mark and a place; nothing where that is nothing. */
  finish(end: Point): void {
    const begun = this.begun.value;
    const shape = begun && this.between(begun, end);
    this.drop();
    if (!shape) return;
    this.last += 1;
    this.measures.value = [...this.measures.value, { number: this.last, shape }];
    this.measure();
  }

  /** Forgets what is begun. Returns whether there was something. */
  drop(): boolean {
    const wasBegun = this.begun.value !== null;
    this.begun.value = null;
    this.end.value = null;
    return wasBegun;
  }

  remove(number: number): void {
    this.measures.value = this.measures.value.filter((measure) => measure.number !== number);
    if (this.measures.value.length === 0) this.last = 0;
  }

  /** What is begun, or else the newest. */
  takeBack(): void {
    const newest = this.measures.value.at(-1);
    if (!this.drop() && newest) this.remove(newest.number);
  }

  clear(): void {
    this.drop();
    this.measures.value = [];
    this.last = 0;
  }

  /** Anew, from the volumes that are there. */
  measure(): void {
    if (this.measures.value.length === 0) return;
    const [first = null, second = null] = this.voxels();
    const of = (region: Region, voxels: Voxels | null): Measured | null => voxels && measured(region, voxels);
    const regions = this.measures.value.flatMap(({ number, shape }) =>
      shape.kind === "distance" ? [] : [[number, [of(shape, first), of(shape, second)]] as const],
    );
    this.found.value = new Map(regions);
  }

  /** Whether a hand holds the other end. */
  get isDragging(): boolean {
    return this.begun.value?.isDragged ?? false;
  }

  private between({ lattice, voxel, axis }: Mark, end: Point): Shape | null {
    const slices = axis ?? sharedAxis(voxel, end);
    return shapeOf(this.tool.value, lattice, voxel, end, { axis: slices, depth: this.depth.value });
  }
}

/** The axis along which both lie in one slice: axial before coronal before sagittal. */
function sharedAxis(from: Point, to: Point): Axis {
  return ([2, 1, 0] as const).find((axis) => Math.round(from[axis]) === Math.round(to[axis])) ?? 2;
}
