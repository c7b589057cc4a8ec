// Mosaic: one middle slice of every sample of a job, in a plane of choice, to look through, to open and to take away.
import { useSignal } from "@preact/signals";

import { saveFile } from "../api/save";
import type { JobRecord, ResultFile } from "../api/types";
import { expected } from "../jobs/kinds";
import { arranged, nearestOf, ORDERS, type Order, realismOf } from "../jobs/realism";
import { note, route } from "../route";
import { bytes, isViewable, nameOf, volumes } from "../text/words";
import { Button, NumberField, Segments, Select } from "../ui/controls";
import { type Plane, PLANES, Preview } from "../ui/preview";
import { attempt } from "../ui/toast";
import { MAX_ARCHIVE_BYTES, saveSeveral, stemOf } from "./saving";
import { previewOf } from "./strip";

const NAMES: readonly (readonly [Plane, string])[] = [
  ["axial", "Axial"],
  ["coronal", "Coronal"],
  ["sagittal", "Sagittal"],
];

function isMany(record: JobRecord): boolean {
  return Math.max(expected(record), record.results.length) > 1;
}

/** The plane of the mosaic that the address asks for; null where it asks for none, or there is but one sample. */
export function mosaicOf(record: JobRecord): Plane | null {
  if (!isMany(record)) return null;
  return PLANES.find((plane) => plane === route.value.query["mosaic"]) ?? null;
}

/** Opens the mosaic of a job, where there is more than one sample to see. */
export function MosaicButton({ record }: { record: JobRecord }) {
  if (!isMany(record)) return null;
  const isOpen = mosaicOf(record) !== null;
  return (
    <Button icon={isOpen ? "left" : "mosaic"} onClick={() => note({ mosaic: isOpen ? null : "axial" })}>
      {isOpen ? "Back to the viewer" : "Mosaic"}
    </Button>
  );
}

export function Mosaic({ record, plane }: { record: JobRecord; plane: Plane }) {
  const picked = useSignal<ReadonlySet<string>>(new Set());
  const order = useSignal<Order>("made");
  const least = useSignal(0);
  const isScored = record.results.some(({ realism }) => realism !== null);
  const results = isScored ? arranged(record.results, order.value, least.value) : record.results;
  const chosen = results.filter(({ name }) => picked.value.has(name));
  const turn = (name: string, isOn: boolean): void => {
    const rest = [...picked.value].filter((other) => other !== name);
    picked.value = new Set(isOn ? [...rest, name] : rest);
  };
  const toCome = Math.max(0, expected(record) - record.results.length);
  return (
    <>
      <div class="mosaic-head">
        <Segments label="Plane" value={plane} options={NAMES} onChange={(next) => note({ mosaic: next })} />
        <Selection
          record={record}
          count={results.length}
          chosen={chosen}
          onAll={() => (picked.value = new Set(results.map(({ name }) => name)))}
          onNone={() => (picked.value = new Set())}
        />
      </div>
      {isScored && (
        <div class="mosaic-head">
          <Select label="Order" value={order.value} options={ORDERS} onChange={(next) => (order.value = next)} />
          <NumberField
            label="Realism from"
            min={0}
            max={1000}
            step={0.05}
            value={least.value}
            onChange={(next) => (least.value = next)}
            after={<span class="hint">{`${results.length} of ${volumes(record.results.length)}`}</span>}
          />
        </div>
      )}
      <ul class="mosaic" aria-label="All samples">
        {results.map((result) => (
          <li key={result.name}>
            <Tile
              record={record}
              result={result}
              plane={plane}
              isPicked={picked.value.has(result.name)}
              onPick={(isOn) => turn(result.name, isOn)}
            />
          </li>
        ))}
        {Array.from({ length: toCome }, (_, place) => (
          <li key={`to come ${place}`}>
            <div class="tile to-come">
              <span class={`preview ${plane} blank`} />
              <p class="tile-foot hint">To come</p>
            </div>
          </li>
        ))}
      </ul>
      {record.results.length > 0 && !record.results.some(({ preview }) => preview) && (
        <p class="hint">This job was asked for without pictures.</p>
      )}
    </>
  );
}

interface SelectionProps {
  record: JobRecord;
  /** Of the samples that are shown. */
  count: number;
  chosen: readonly ResultFile[];
  onAll: () => void;
  onNone: () => void;
}

function Selection({ record, count, chosen, onAll, onNone }: SelectionProps) {
  const done = useSignal<number | null>(null);
  const size = chosen.reduce((sum, { size_bytes: bytesOfOne }) => sum + bytesOfOne, 0);
  const isTooLarge = size > MAX_ARCHIVE_BYTES;
  const save = async (): Promise<void> => {
    done.value = 0;
    await attempt(() => saveSeveral(record, chosen, (count) => (done.value = count)));
    done.value = null;
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot lie in a row in every browser
    <div class="actions" role="group" aria-label="Selection">
      <Button kind="quiet" isDisabled={chosen.length === count} onClick={onAll}>
        Select all
      </Button>
      <Button kind="quiet" isDisabled={chosen.length === 0} onClick={onNone}>
        Select none
      </Button>
      <Button
        icon="download"
        isDisabled={chosen.length === 0 || done.value !== null || isTooLarge}
        onClick={() => void save()}
      >
        {done.value === null
          ? `Download ${chosen.length === 0 ? "the selection" : `${volumes(chosen.length)} (${bytes(size)})`}`
          : `${done.value} of ${chosen.length}`}
      </Button>
      {isTooLarge && <span class="hint">At most {bytes(MAX_ARCHIVE_BYTES)} in one archive.</span>}
    </div>
  );
}

interface TileProps {
  record: JobRecord;
  result: ResultFile;
  plane: Plane;
  isPicked: boolean;
  onPick: (isOn: boolean) => void;
}

function Tile({ record, result, plane, isPicked, onPick }: TileProps) {
  const name = nameOf(result);
  const realism = realismOf(result);
  return (
    <div class={`tile${isPicked ? " is-picked" : ""}`}>
      <button
        type="button"
        class="tile-picture"
        aria-label={`Open ${name}`}
        disabled={!isViewable(result.name)}
        onClick={() => note({ mosaic: null, show: result.name })}
      >
        <Preview url={previewOf(record, result)} alt="" planes={plane} />
      </button>
      <div class="tile-foot">
        <label>
          <input type="checkbox" checked={isPicked} onChange={(event) => onPick(event.currentTarget.checked)} />
          <span>{name}</span>
        </label>
        <Button
          kind="quiet"
          icon="download"
          label={`Download ${name}`}
          onClick={() => void attempt(() => saveFile(result.url, `${stemOf(record)}-${result.name}`))}
        />
      </div>
      {realism && (
        <p class="tile-score hint" title={nearestOf(result)}>
          {realism}
        </p>
      )}
    </div>
  );
}
