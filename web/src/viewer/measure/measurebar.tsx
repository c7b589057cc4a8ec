// The tools of measuring, and what came of them.
import { useId } from "preact/hooks";

import { copy } from "../../ui/clipboard";
import { Button, Segments, taken } from "../../ui/controls";
import { figure } from "../../text/words";
import type { Shown, Stage } from "../stage";
import type { Tool } from "./shapes";
import { asCsv, asText, brief, named, type Row, rowsOf, size } from "./telling";

const TOOLS: readonly (readonly [Tool, string])[] = [
  ["distance", "Distance"],
  ["rectangle", "Rectangle"],
  ["ellipse", "Ellipse"],
  ["sphere", "Sphere"],
];

interface MeasureProps {
  stage: Stage;
  first: Shown | null;
  second: Shown | null;
}

export function MeasureBar({ stage, first, second }: MeasureProps) {
  const { measuring } = stage;
  if (!measuring.isOn.value) return null;
  const rows = rowsOf(measuring.measures.value, measuring.found.value, [first, second]);
  const isEmpty = rows.length === 0;
  return (
    <div class="measure-bar">
      <Segments
        label="Measure"
        value={measuring.tool.value}
        options={TOOLS}
        onChange={(tool) => measuring.choose(tool)}
      />
      <Depth stage={stage} />
      <p class="measure-hint">Drag, or Enter twice</p>
      <div class="viewer-tools">
        <Button kind="quiet" isDisabled={isEmpty} onClick={() => void copy(asText(rows), "text")}>
          Copy text
        </Button>
        <Button kind="quiet" isDisabled={isEmpty} onClick={() => void copy(asCsv(rows), "CSV")}>
          Copy CSV
        </Button>
        <Button kind="quiet" isDisabled={isEmpty} onClick={() => measuring.clear()}>
          Clear
        </Button>
      </div>
    </div>
  );
}

const DEPTHS = { min: 1, max: 999, step: 1 };

function Depth({ stage: { measuring } }: { stage: Stage }) {
  const id = useId();
  const isOff = measuring.tool.value === "distance" || measuring.tool.value === "sphere";
  return (
    <span class="typed measure-depth">
      <label for={id}>Slices</label>
      <input
        id={id}
        type="number"
        {...DEPTHS}
        disabled={isOff}
        title="Through how many slices a rectangle or an ellipse goes"
        value={measuring.depth.value}
        onChange={(event) => {
          measuring.depth.value = taken(event.currentTarget.valueAsNumber, DEPTHS) ?? measuring.depth.value;
          event.currentTarget.value = String(measuring.depth.value);
        }}
      />
    </span>
  );
}

export function MeasureTable({ stage, first, second }: MeasureProps) {
  const { measuring } = stage;
  if (!measuring.isOn.value) return null;
  const rows = rowsOf(measuring.measures.value, measuring.found.value, [first, second]);
  const newest = rows.filter(({ number }) => number === rows.at(-1)?.number);
  return (
    <>
      <p class="unseen" role="status">
        {newest.map(({ number, shape, measured, unit }) => `${number}: ${brief(shape, measured, unit)}`).join("; ")}
      </p>
      {rows.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard
        <section class="measure-table" tabIndex={0} aria-label="Measurements">
          <table>
            <thead>
              <tr>
                {[
                  "",
                  "Shape",
                  ...(second ? ["Volume"] : []),
                  "Size",
                  "Mean",
                  "SD",
                  "Min",
                  "Max",
                  "Median",
                  "Voxels",
                ].map((head) => (
                  <th key={head} scope="col">
                    {head || <span class="unseen">Number</span>}
                  </th>
                ))}
                <td />
              </tr>
            </thead>
            <tbody>
              {rows.map((row, at) => (
                <Line
                  key={`${row.number} ${row.volume}`}
                  row={row}
                  isFirst={rows[at - 1]?.number !== row.number}
                  onRemove={() => measuring.remove(row.number)}
                />
              ))}
            </tbody>
          </table>
        </section>
      )}
    </>
  );
}

interface LineProps {
  row: Row;
  isFirst: boolean;
  onRemove: () => void;
}

function Line({ row: { number, shape, volume, unit, measured }, isFirst, onRemove }: LineProps) {
  const found = measured?.statistics;
  const value = (told: number | undefined): string => (told === undefined ? "–" : `${figure(told)} ${unit}`.trim());
  const isRegion = shape.kind !== "distance";
  return (
    <tr>
      <th scope="row">{number}</th>
      <td>{named(shape)}</td>
      <td class="measure-volume">{volume}</td>
      <td>{size(shape, measured)}</td>
      {[found?.mean, found?.deviation, found?.min, found?.max, found?.median].map((told, k) => (
        <td key={k}>{isRegion && value(told)}</td>
      ))}
      <td>{isRegion && (found?.count.toLocaleString("en") ?? "0")}</td>
      <td>{isFirst && <Button kind="quiet" icon="close" label={`Remove ${number}`} onClick={onRemove} />}</td>
    </tr>
  );
}
