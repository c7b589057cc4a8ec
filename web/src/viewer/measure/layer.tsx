// What was measured, drawn over the image.
import type { Stage } from "../stage";
import type { Lattice } from "./lattice";
import { type Cut, cutOf } from "./outlines";
import type { Shape } from "./shapes";
import { brief, extent } from "./telling";
import { pixelOf, type Tile } from "./tiles";

interface Drawn {
  /** 0 for what is being drawn. */
  number: number;
  shape: Shape;
  text: string;
}

/** Over one pane. What stands here is told by the table as well. */
export function MeasureLayer({ stage, index, unit }: { stage: Stage; index: 0 | 1; unit: string }) {
  const { measuring, slots } = stage;
  const { pane, drawn: times } = slots[index];
  const lattice = measuring.isOn.value && times.value > 0 ? pane?.voxels?.lattice : null;
  if (!pane || !lattice) return null;
  const { begun, draft, measures, found } = measuring;
  const all: Drawn[] = measures.value.map(({ number, shape }) => {
    const text = `${number}: ${brief(shape, found.value.get(number)?.[index] ?? null, unit)}`;
    return { number, shape, text };
  });
  if (draft.value && begun.value?.pane === index)
    all.push({ number: 0, shape: draft.value, text: extent(draft.value) });
  return (
    <svg class="measures" aria-hidden="true" focusable="false">
      {pane.tiles.map((tile) => (
        <svg key={tile.axis} aria-hidden="true" x={tile.left} y={tile.top} width={tile.width} height={tile.height}>
          {outlines(all, tile, lattice)}
        </svg>
      ))}
    </svg>
  );
}

type Pixel = readonly [number, number];

function outlines(all: readonly Drawn[], tile: Tile, lattice: Lattice) {
  const labels: Label[] = [];
  return all.map(({ number, shape, text }) => {
    const cut = cutOf(shape, lattice, tile.axis, tile.slice);
    if (!cut) return null;
    const places = cut.points.map((voxel): Pixel => {
      const [x, y] = pixelOf(tile, voxel);
      return [x - tile.left, y - tile.top];
    });
    const isWhole = number === 0 || isSeenWhole(shape, cut, tile);
    const label = labelled(isWhole ? text : String(number), places, tile, labels);
    labels.push(label);
    return <Outline key={number} {...{ cut, places, label }} />;
  });
}

/** Whether the tile shows the plane that it was drawn on: beside its traces in the others stands its number alone. */
function isSeenWhole(shape: Shape, { isAside }: Cut, { axis }: Tile): boolean {
  return shape.kind === "rectangle" || shape.kind === "ellipse" ? shape.axis === axis : !isAside;
}

function Outline({ cut, places, label }: { cut: Cut; places: readonly Pixel[]; label: Label }) {
  const steps = places.map((place) => place.map((px) => px.toFixed(1)).join(" "));
  const line = `M${steps.join("L")}${cut.isClosed ? "Z" : ""}`;
  return (
    <g class={cut.isAside ? "measure aside" : "measure"}>
      <path class="measure-below" d={line} />
      <path class="measure-line" d={line} />
      {!cut.isClosed && places.map(([cx, cy], k) => <circle key={k} class="measure-end" cx={cx} cy={cy} r={3} />)}
      <text x={label.x} y={label.y}>
        {label.text}
      </text>
    </g>
  );
}

interface Label {
  text: string;
  x: number;
  y: number;
  width: number;
}

const LETTER_PX = 7.4;
const LINE_PX = 14;

/** Above the shape, below it where there is no room; within the tile, and on no other label while there is a place. */
function labelled(text: string, places: readonly Pixel[], tile: Tile, others: readonly Label[]): Label {
  const [xs, ys] = [places.map(([x]) => x), places.map(([, y]) => y)];
  const width = LETTER_PX * text.length;
  const x = Math.max(4, Math.min(Math.min(...xs), tile.width - width - 4));
  const above = Math.min(...ys) - 6;
  let y = above > LINE_PX ? above : Math.min(Math.max(...ys) + LINE_PX, tile.height - 4);
  const isTaken = (): boolean =>
    others.some((other) => Math.abs(other.y - y) < LINE_PX && x < other.x + other.width && other.x < x + width);
  while (isTaken() && y + LINE_PX < tile.height) y += LINE_PX;
  return { text, x, y, width };
}
