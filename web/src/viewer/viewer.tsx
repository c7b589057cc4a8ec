// The viewer: one or two volumes on linked canvases, with what a reading room expects around them.
import { useEffect, useMemo, useRef } from "preact/hooks";

import { saveBlob } from "../api/save";
import { Button, Meter, Segments } from "../ui/controls";
import { ProblemNotice } from "../ui/notices";
import { figure } from "../text/words";
import { KeyHelp } from "./keyhelp";
import type { Triple } from "./moves";
import { useHand } from "./measure/hand";
import { MeasureLayer } from "./measure/layer";
import { MeasureBar, MeasureTable } from "./measure/measurebar";
import type { Layout } from "./pane";
import { Readout } from "./readout";
import { hasTwoPanes, type Mode, type Shown, Stage } from "./stage";
import { SliceBar } from "./slicebar";
import { Blend, Swipe } from "./between";
import { Windowing } from "./windowing";

const LAYOUTS: readonly (readonly [Layout, string])[] = [
  ["multi", "Planes + 3D"],
  ["axial", "Axial"],
  ["coronal", "Coronal"],
  ["sagittal", "Sagittal"],
  ["render", "3D"],
];
const MODES: readonly (readonly [Mode, string])[] = [
  ["single", "One"],
  ["pair", "Side by side"],
  ["swipe", "Swipe"],
  ["overlay", "Overlay"],
  ["difference", "Difference"],
  ["edges", "Edges"],
];

interface ViewerProps {
  first: Shown | null;
  second?: Shown | null;
  mode?: Mode;
  /** A volume is on its way: the canvas is made ready for it. */
  isSoon?: boolean;
  /** Whoever makes it needs the processor: what takes long to draw without a GPU waits. */
  isHeld?: boolean;
  onMode?: (mode: Mode) => void;
  /** Whether the two are of different appearances: their edges agree where their values do not. */
  isTranslation?: boolean;
}

export function Viewer({
  first,
  second = null,
  mode = "single",
  isSoon = false,
  isHeld = false,
  onMode,
  isTranslation = false,
}: ViewerProps) {
  const stage = useMemo(() => new Stage(), []);
  const frame = useRef<HTMLElement>(null);
  const modes = MODES.filter(([key]) => key !== (isTranslation ? "difference" : "edges"));
  const shownMode = second ? (modes.find(([key]) => key === mode)?.[0] ?? "pair") : "single";
  const isPair = hasTwoPanes(shownMode);
  const base = shownMode === "edges" ? second : first;
  useEffect(() => () => stage.close(), [stage]);
  useEffect(() => void stage.present({ first, second, mode: shownMode }), [stage, first?.key, second?.key, shownMode]);
  useEffect(() => stage.hold(isHeld), [stage, isHeld]);

  return (
    <section class="viewer" aria-label="Viewer" ref={frame}>
      <div class="viewer-bar">
        <Segments
          label="Layout"
          value={stage.layout.value}
          options={LAYOUTS}
          onChange={(layout) => stage.setLayout(layout)}
        />
        {second && onMode && <Segments label="Compare" value={shownMode} options={modes} onChange={onMode} />}
        <div class="viewer-tools">
          <ViewTools stage={stage} />
          <Button
            kind="quiet"
            isPressed={stage.isRadiological.value}
            onClick={() => stage.setRadiological(!stage.isRadiological.value)}
            label="Radiological convention: the patient's right on the left"
          >
            R | L
          </Button>
          <Button
            kind="quiet"
            icon="camera"
            label="Save a picture"
            isDisabled={!first}
            onClick={() => void savePicture(stage)}
          />
          <Button kind="quiet" icon="full" label="Full screen" onClick={() => void turnFull(frame.current)} />
          <KeyHelp />
        </div>
      </div>
      <Windowing stage={stage} first={base} second={isPair ? second : null} />
      <MeasureBar stage={stage} first={base} second={isPair ? second : null} />
      <div class={`panes ${shownMode}`}>
        <PaneView
          stage={stage}
          index={0}
          shown={base}
          isSoon={isSoon}
          title={titleOf(shownMode, first, second)}
          compared={shownMode === "difference" ? second : null}
        />
        {isPair && <PaneView stage={stage} index={1} shown={second} isSoon title={second?.title ?? ""} />}
      </div>
      {shownMode === "swipe" && <Swipe frame={frame} />}
      {shownMode === "overlay" && <Blend stage={stage} />}
      <SliceBar stage={stage} />
      <Readout stage={stage} first={base} second={isPair ? second : null} />
      <MeasureTable stage={stage} first={base} second={isPair ? second : null} />
    </section>
  );
}

const NEARER = 1.25;

function ViewTools({ stage }: { stage: Stage }) {
  const isOff = stage.slices.value === null;
  const { measuring } = stage;
  return (
    <>
      <Button
        kind="quiet"
        icon="ruler"
        label="Measure"
        isPressed={measuring.isOn.value}
        onClick={() => measuring.turn(!measuring.isOn.value)}
      />
      <Button
        kind="quiet"
        icon="hand"
        label="Drag moves the image"
        isPressed={stage.isPanning.value}
        onClick={() => stage.setPanning(!stage.isPanning.value)}
      />
      <Button kind="quiet" icon="minus" label="Farther" isDisabled={isOff} onClick={() => stage.zoom(1 / NEARER)} />
      <Button kind="quiet" icon="plus" label="Nearer" isDisabled={isOff} onClick={() => stage.zoom(NEARER)} />
      <Button kind="quiet" icon="fit" label="The whole image" isDisabled={isOff} onClick={() => stage.zoom(null)} />
    </>
  );
}

interface PaneViewProps {
  stage: Stage;
  index: 0 | 1;
  shown: Shown | null;
  isSoon: boolean;
  title: string;
  /** The volume whose difference lies over this one. */
  compared?: Shown | null;
}

/** What is on the first canvas. */
function titleOf(mode: Mode, first: Shown | null, second: Shown | null): string {
  if (!first || !second) return first?.title ?? "";
  if (mode === "difference") return `${second.title} − ${first.title}`;
  if (mode === "overlay") return `${second.title} over ${first.title}`;
  return mode === "edges" ? `Edges of ${first.title} over ${second.title}` : first.title;
}

function PaneView({ stage, index, shown, isSoon, title, compared = null }: PaneViewProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const isWanted = useRef(false);
  const status = stage.slots[index].status.value;
  // Between the choice of another volume and its loading there is a moment.
  const phase = status.phase === "shown" && status.key !== shown?.key ? "loading" : status.phase;
  const hasImage = stage.slots[index].range.value !== null;
  const hand = useHand(stage, index);
  isWanted.current ||= isSoon || shown !== null;
  useEffect(() => {
    if (isWanted.current && canvas.current) void stage.mount(index, canvas.current);
  }, [stage, index, isWanted.current]);
  useEffect(() => () => stage.unmount(index), [stage, index]);

  return (
    <div class="pane" data-testid={`pane-${index}`} data-phase={phase} aria-busy={phase === "loading"}>
      <div
        class={stage.measuring.isOn.value ? "pane-canvas is-measuring" : "pane-canvas"}
        {...hand}
        onKeyDownCapture={(event) => onKey(event, stage, index)}
        onWheelCapture={(event) => onWheel(event, canvas.current)}
      >
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: a canvas that takes keys is an application */}
        <canvas
          ref={canvas}
          tabIndex={0}
          role="application"
          aria-roledescription="volume"
          aria-label={
            title
              ? `${title}. Arrow keys, Page Up and Page Down move the cursor; with Shift the arrow keys turn the 3D view.`
              : "No volume"
          }
        />
      </div>
      <MeasureLayer stage={stage} index={index} unit={shown?.unit ?? ""} />
      {title && <p class="pane-title">{title}</p>}
      {compared && <Legend stage={stage} unit={compared.unit} isMatched={shown?.scale !== compared.scale} />}
      {shown && <WheelHint />}
      {stage.slots[index].isRendering.value && stage.layout.value === "multi" && (
        <p class="pane-rendering">3D view loading</p>
      )}
      {!shown && <p class="pane-empty">Nothing to show yet</p>}
      {status.phase === "loading" && (
        <div class={hasImage ? "pane-wait" : "pane-wait first"}>
          <Meter fraction={status.fraction} label={`Loading ${title}`} />
        </div>
      )}
      {status.phase === "failed" && (
        <div class="pane-failed">
          <ProblemNotice problem={status.problem} onRetry={() => void stage.retry()} />
        </div>
      )}
    </div>
  );
}

/** Seen while the hand is over the image, or the keyboard in it: styles tell which of the two holds. */
function WheelHint() {
  return (
    <p class="pane-hint" aria-hidden="true">
      <span class="hint-away">Click to slice with the wheel</span>
      <span class="hint-here">The wheel slices; Esc gives it back to the page</span>
    </p>
  );
}

/** The wheel is the page's until the canvas has the focus; NiiVue would hold it without doing anything. */
function onWheel(event: WheelEvent, canvas: HTMLCanvasElement | null): void {
  if (document.activeElement !== canvas) event.stopPropagation();
}

/** What the colours of a difference mean. */
function Legend({ stage, unit, isMatched }: { stage: Stage; unit: string; isMatched: boolean }) {
  const reach = stage.slots[0].reach.value;
  if (reach === null) return null;
  return (
    <p class="legend">
      <span class="figure">−{figure(reach)}</span>
      <span class="legend-bar" />
      <span class="figure">
        +{figure(reach)} {unit}
      </span>
      {isMatched && <span class="legend-note">after matching the scan's values by a straight line</span>}
    </p>
  );
}

const STEPS: Record<string, readonly [number, number, number]> = {
  ArrowLeft: [-1, 0, 0],
  ArrowRight: [1, 0, 0],
  ArrowUp: [0, 1, 0],
  ArrowDown: [0, -1, 0],
  PageUp: [0, 0, 1],
  PageDown: [0, 0, -1],
};

/** The two axes of the patient that go across and along the image. */
const ACROSS: Record<Layout, readonly [Triple, Triple]> = {
  multi: [
    [1, 0, 0],
    [0, 1, 0],
  ],
  axial: [
    [1, 0, 0],
    [0, 1, 0],
  ],
  coronal: [
    [1, 0, 0],
    [0, 0, 1],
  ],
  sagittal: [
    [0, -1, 0],
    [0, 0, 1],
  ],
  render: [
    [0, 0, 0],
    [0, 0, 0],
  ],
};

function onKey(event: KeyboardEvent, stage: Stage, index: 0 | 1): void {
  if (event.key !== "Tab" && event.key !== "Escape") event.stopPropagation(); // NiiVue's own letters stay out of the way
  if (event.key === "Escape" && !stage.measuring.drop()) (event.target as HTMLElement).blur();
  if (!stage.slots[index].pane) return;
  if (onMove(event, stage, index) || onLetter(event, stage) || onMeasure(event, stage, index)) event.preventDefault();
}

/** Arrow keys and their like. */
function onMove(event: KeyboardEvent, stage: Stage, index: 0 | 1): boolean {
  const step = STEPS[event.key];
  const { pane } = stage.slots[index];
  if (!step || !pane) return false;
  const [x, y, z] = step;
  const isMirrored = !stage.isRadiological.value;
  if (event.ctrlKey) {
    const [across, along] = ACROSS[stage.layout.value];
    const right = x * (isMirrored || stage.layout.value === "sagittal" ? 1 : -1);
    stage.pan([0, 1, 2].map((k) => right * (across[k] ?? 0) + y * (along[k] ?? 0)) as unknown as Triple);
  } else if (event.shiftKey) pane.turn(6 * x, 6 * y);
  else pane.step(isMirrored ? -x : x, y, z);
  return true;
}

function onLetter({ key, ctrlKey, metaKey, altKey }: KeyboardEvent, stage: Stage): boolean {
  if (ctrlKey || metaKey || altKey) return false;
  const layout = LAYOUTS[Number(key) - 1];
  if (key === "+" || key === "=") stage.zoom(NEARER);
  else if (key === "-") stage.zoom(1 / NEARER);
  else if (key === "0") stage.zoom(null);
  else if (layout) stage.setLayout(layout[0]);
  else return false;
  return true;
}

function onMeasure({ key, ctrlKey, metaKey, altKey }: KeyboardEvent, stage: Stage, index: 0 | 1): boolean {
  if (ctrlKey || metaKey || altKey) return false;
  const { measuring } = stage;
  if (key === "m" || key === "M") measuring.turn(!measuring.isOn.value);
  else if (!measuring.isOn.value) return false;
  else if (key === "Enter") stage.mark(index);
  else if (key === "Backspace" || key === "Delete") measuring.takeBack();
  else return false;
  return true;
}

async function savePicture(stage: Stage): Promise<void> {
  const picture = await stage.slots[0].pane?.picture();
  if (picture) saveBlob(picture, "voxelsmith.png");
}

async function turnFull(frame: HTMLElement | null): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await frame?.requestFullscreen();
}
