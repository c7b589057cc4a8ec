// Pane: one canvas of NiiVue's with one volume. The only file that imports NiiVue; it is loaded when a volume is shown.
import { DRAG_MODE, NVImage, Niivue, SLICE_TYPE } from "@niivue/niivue";

import { difference, matched, reach, SAME_UNITS } from "./difference";
import { Drawing, isSoftware } from "./drawing";
import { addColours, type ColourMap } from "./colours";
import { affineOf, hasHeader, isSameGrid, sidesOf, tellsWindow } from "./grids";
import { withoutGradients } from "./gradients";
import { type Histogram, histogramOf } from "./histogram";
import { withPlates } from "./plates";
import { gradientLength, type LayerKind } from "./layers";
import { type Tile, tilesOf, voxelsOf as measurable } from "./measure/tiles";
import type { Voxels } from "./measure/region";
import { goToVoxel, type Slices, slicesOf, spotOf, type Triple, panned } from "./moves";
import { type View, WHOLE, zoomed } from "./moves";
import { niftiOf, scalingOf, type VolumeFile, voxelsOf } from "./nifti";

export type Layout = "multi" | "axial" | "coronal" | "sagittal" | "render";
export interface Intensities {
  low: number;
  high: number;
}
export interface Range extends Intensities {
  /** What the file says, or else robust limits of its values. */
  own: Intensities;
  min: number;
  max: number;
}
export type Place = readonly [number, number, number];

const SLICES: Record<Layout, SLICE_TYPE> = {
  multi: SLICE_TYPE.MULTIPLANAR,
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  render: SLICE_TYPE.RENDER,
};
const CROSSHAIR = [0.98, 0.72, 0.25, 0.85];
/** How much of the 3D view is shading rather than plain values. */
const LIGHT = 0.5;
/** NiiVue's COLORMAP_TYPE.ZERO_TO_MAX_TRANSPARENT_BELOW_MIN: colours from zero on, none below the least. */
const FROM_ZERO = 1;
/** One step to the side. */
const PAN_MM = 15;
/** NIfTI's code of colours in place of values. */
const RGB = 128;
const PAPER = [0.025, 0.031, 0.039, 1];

export interface Heard {
  moved: (mm: Place) => void;
  windowed: (range: Intensities) => void;
  /** After each drawing: whether the 3D view is behind the planes. */
  drawn: (isBehind: boolean) => void;
}

export class Pane {
  private readonly drawing: Drawing;
  private layout: Layout = "multi";
  /** The window of a volume whose file tells none. */
  private usual: Intensities | null = null;
  /** What the values of the volume mean. */
  private scaling = "";
  private colours: ColourMap = "gray";

  private constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly nv: Niivue,
    heard: Heard,
  ) {
    this.drawing = new Drawing(nv, () => this.layout === "multi", heard.drawn);
  }

  /** Throws where the browser has no WebGL 2. */
  static async open(canvas: HTMLCanvasElement, heard: Heard): Promise<Pane> {
    const nv = new Niivue({
      backColor: PAPER,
      crosshairColor: CROSSHAIR,
      crosshairWidth: 1.2,
      crosshairWidthUnit: "mm", // see crosshair.ts
      crosshairGap: 16,
      showAllOrientationMarkers: true,
      fontSizeScaling: 0.5,
      show3Dcrosshair: true,
      fontColor: [0.8, 0.84, 0.88, 1],
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      multiplanarShowRender: 1,
      multiplanarLayout: 2,
      multiplanarPadPixels: 6,
      isAntiAlias: false,
      trustCalMinMax: true,
      isNearestInterpolation: false,
      dragMode: DRAG_MODE.windowing,
      dragAndDropEnabled: false,
      scrollRequiresFocus: true,
      clipPlaneHotKey: "",
      viewModeHotKey: "",
      logLevel: "error",
      loadingText: "",
    });
    nv.onLocationChange = (told) => heard.moved(placeOf(told));
    const windowed = (volume: NVImage | undefined): void => {
      if (volume) heard.windowed({ low: volume.cal_min ?? 0, high: volume.cal_max ?? 1 });
    };
    nv.onIntensityChange = windowed;
    const adjust = nv.windowingHandler.bind(nv); // which tells nobody
    nv.windowingHandler = (...place) => {
      adjust(...place);
      windowed(nv.volumes[0]);
    };
    await nv.attachToCanvas(canvas, false);
    addColours(nv);
    withPlates(nv);
    if (isSoftware(nv.gl)) withoutGradients(nv);
    else await nv.setVolumeRenderIllumination(LIGHT);
    return new Pane(canvas, nv, heard);
  }

  private get volume(): NVImage | undefined {
    return this.nv.volumes[0];
  }

  /** Shows a volume in place of the one that is there. One of the same grid and scale keeps window, cursor and all else. */
  async show(file: VolumeFile, scale: string, usual: Intensities | null): Promise<void> {
    const scaling = [scale, ...scalingOf(file)].join(" ");
    if (scaling !== this.scaling || !this.swap(file)) {
      const next = await imageOf(file, this.colours);
      this.scaling = scaling;
      this.usual = usual;
      if (usual && !tellsWindow(next)) {
        next.cal_min = usual.low;
        next.cal_max = usual.high;
      }
      this.clear();
      this.nv.addVolume(next);
      this.nv.createOnLocationChange();
    }
    await this.drawing.done();
  }

  /** Other voxels into the volume that is there: the image is never held twice. */
  private swap(file: VolumeFile): boolean {
    const volume = this.volume;
    const voxels = volume?.img && this.nv.volumes.length === 1 ? voxelsOf(file) : null;
    if (
      !volume?.hdr ||
      !voxels ||
      volume.img?.constructor !== voxels.constructor ||
      volume.img.length !== voxels.length
    )
      return false;
    if (!hasHeader(file, volume)) return false;
    volume.img = voxels;
    this.nv.updateGLVolume();
    this.nv.createOnLocationChange();
    return true;
  }

  /** Lays another volume over this one, or what is made of it. Returns where the colours of a difference end. */
  async lay(kind: LayerKind, second: VolumeFile, isSameUnits: boolean, opacity: number): Promise<number | null> {
    if (kind === "difference") return this.layDifference(second, isSameUnits);
    const other = await imageOf(second, "gray");
    const layer = kind === "edges" ? await edgesOf(other) : other;
    if (kind === "overlay" && this.volume) {
      if (isSameUnits) layer.cal_min = this.volume.cal_min;
      if (isSameUnits) layer.cal_max = this.volume.cal_max;
      layer.opacity = opacity;
    }
    this.dropOverlay();
    this.nv.addVolume(layer);
    await this.drawing.done();
    return null;
  }

  setOpacity(opacity: number): void {
    if (this.nv.volumes.length > 1) this.nv.setOpacity(1, opacity);
  }

  /** Lays second - this over the volume, red where the second is brighter. Returns where the colours end. */
  private async layDifference(second: VolumeFile, isSameUnits: boolean): Promise<number> {
    const first = this.volume;
    const other = await imageOf(second, "gray");
    if (!first?.img || !other.img || !isSameGrid(first, other)) {
      throw new Error(
        "The two volumes lie on different grids, so that no voxel has a partner. Look at them side by side.",
      );
    }
    const a = first.img as unknown as Int16Array;
    const b = other.img as unknown as Int16Array;
    const line = isSameUnits ? SAME_UNITS : matched(a, b);
    const apart = difference(a, b, line);
    const limit = reach(apart);
    const bytes = niftiOf(sidesOf(first), affineOf(first), apart);
    const layer = await imageOf({ name: "difference.nii", bytes }, "brighter");
    layer.colormapNegative = "darker";
    layer.colormapType = FROM_ZERO;
    layer.cal_min = limit * 0.02;
    layer.cal_max = limit;
    layer.cal_minNeg = -limit;
    layer.cal_maxNeg = -limit * 0.02;
    layer.opacity = 1;
    this.dropOverlay();
    this.nv.addVolume(layer);
    await this.drawing.done();
    return limit;
  }

  dropOverlay(): void {
    for (const layer of this.nv.volumes.slice(1)) this.nv.removeVolume(layer);
  }

  clear(): void {
    for (const volume of [...this.nv.volumes].reverse()) this.nv.removeVolume(volume);
  }

  get range(): Range | null {
    const volume = this.volume;
    if (!volume) return null;
    const {
      cal_min: low = 0,
      cal_max: high = 1,
      hdr,
      robust_min = 0,
      robust_max = 1,
      global_min: min = low,
      global_max: max = high,
    } = volume;
    const told = tellsWindow(volume) ? { low: hdr?.cal_min ?? 0, high: hdr?.cal_max ?? 1 } : null;
    const own = told ?? this.usual ?? { low: robust_min, high: robust_max };
    return { low, high, own, min: Math.min(min, own.low), max: Math.max(max, own.high) };
  }

  setRange({ low, high }: Intensities): void {
    const volume = this.volume;
    if (!volume || (volume.cal_min === low && volume.cal_max === high)) return;
    volume.cal_min = low;
    volume.cal_max = high;
    this.nv.updateGLVolume();
  }

  setColours(colours: ColourMap): void {
    this.colours = colours;
    const volume = this.volume;
    if (!volume || volume.colormap === colours) return;
    this.nv.setColormap(volume.id, colours);
  }

  /** How often each value is there, in the file's own units; null where the voxels are no plain numbers. */
  async histogram(rest: () => Promise<void>): Promise<Histogram | null> {
    const { img, hdr } = this.volume ?? {};
    const [nx = 0, ny = 0, nz = 0] = hdr?.dims.slice(1, 4) ?? [];
    if (!img || !hdr || img.length < nx * ny * nz || hdr.datatypeCode === RGB) return null;
    const { scl_slope: slope, scl_inter: intercept } = hdr;
    return await histogramOf(img, { slope: slope || 1, intercept: intercept || 0 }, rest);
  }

  hold(isHeld: boolean): void {
    this.drawing.hold(isHeld);
  }

  setLayout(layout: Layout): void {
    this.layout = layout;
    this.nv.setSliceType(SLICES[layout]);
  }

  setRadiological(isRadiological: boolean): void {
    this.nv.setRadiologicalConvention(isRadiological);
  }

  /** Cursor, zoom and turn of each follow the other's. */
  static link(first: Pane, second: Pane): void {
    first.nv.broadcastTo(second.nv, { "2d": true, "3d": true });
    second.nv.broadcastTo(first.nv, { "2d": true, "3d": true });
  }

  unlink(): void {
    this.nv.broadcastTo([], { "2d": false, "3d": false });
  }

  /** The value at a place, in the file's own units; null outside the volume. */
  valueAt(mm: Place): number | null {
    const volume = this.volume;
    if (!volume?.dimsRAS) return null;
    const voxel = volume.mm2vox([...mm]);
    const isInside = [0, 1, 2].every(
      (axis) => (voxel[axis] ?? -1) >= 0 && (voxel[axis] ?? 0) < (volume.dimsRAS?.[axis + 1] ?? 0),
    );
    return isInside ? volume.getValue(voxel[0] ?? 0, voxel[1] ?? 0, voxel[2] ?? 0) : null;
  }

  /** What the difference laid over the volume is at a place; null where there is none. */
  differenceAt(mm: Place): number | null {
    const layer = this.nv.volumes[1];
    if (!layer || this.valueAt(mm) === null) return null;
    const voxel = layer.mm2vox([...mm]);
    return layer.getValue(voxel[0] ?? 0, voxel[1] ?? 0, voxel[2] ?? 0);
  }

  /** Moves the cursor by voxels toward the patient's left, front and top. */
  step(left: number, front: number, top: number): void {
    this.nv.moveCrosshairInVox(-left, front, top);
  }

  get slices(): Slices | null {
    return slicesOf(this.nv);
  }

  goToVoxel(voxel: Triple): void {
    goToVoxel(this.nv, voxel);
  }

  get spot(): Triple {
    return spotOf(this.nv);
  }

  get tiles(): Tile[] {
    return tilesOf(this.nv);
  }

  /** What is measured; null without a volume of plain numbers. */
  get voxels(): Voxels | null {
    return this.volume ? measurable(this.volume) : null;
  }

  get place(): Place {
    const [x = 0, y = 0, z = 0] = this.nv.frac2mm(this.nv.scene.crosshairPos);
    return [x, y, z];
  }

  /** Moves the cursor to a place, as far as the volume reaches. */
  goTo(mm: Place): void {
    const within = (share: number): number => Math.min(1, Math.max(0, share));
    const [x = 0, y = 0, z = 0] = this.nv.mm2frac([...mm]);
    this.nv.scene.crosshairPos = [within(x), within(y), within(z)];
    this.nv.drawScene();
  }

  get view(): View {
    const [x = 0, y = 0, z = 0, zoom = 1] = this.nv.scene.pan2Dxyzmm;
    return [x, y, z, zoom];
  }

  setView(view: View = WHOLE): void {
    this.nv.setPan2Dxyzmm([...view]);
  }

  zoom(times: number): void {
    this.setView(zoomed(this.view, times, this.place));
  }

  pan(towards: Triple): void {
    this.setView(panned(this.view, towards, PAN_MM));
  }

  /** What a drag with the left button, or with one finger, does. */
  setDragging(isPanning: boolean): void {
    this.nv.opts.dragModePrimary = isPanning ? DRAG_MODE.pan : DRAG_MODE.crosshair;
  }

  turn(azimuth: number, elevation: number): void {
    this.nv.setRenderAzimuthElevation(this.nv.scene.renderAzimuth + azimuth, this.nv.scene.renderElevation + elevation);
  }

  picture(): Promise<Blob | null> {
    this.drawing.now();
    return new Promise((resolve) => this.canvas.toBlob(resolve));
  }

  /** Gives the volume and the graphics context back. The canvas cannot be used again. */
  close(): void {
    this.drawing.close();
    this.unlink();
    this.clear();
    this.nv.cleanup();
    this.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function imageOf(file: VolumeFile, colours: string): Promise<NVImage> {
  return NVImage.loadFromUrl({ url: file.name, name: file.name, buffer: file.bytes, colormap: colours, opacity: 1 });
}

/** Where a volume has edges, as a volume on its grid. */
function edgesOf(image: NVImage): Promise<NVImage> {
  const [nx = 1, ny = 1, nz = 1] = sidesOf(image);
  const [, dx = 1, dy = 1, dz = 1] = image.hdr?.pixDims ?? [];
  const lengths = gradientLength(image.img ?? [], [nx, ny, nz], [dx, dy, dz]);
  const bytes = niftiOf([nx, ny, nz], affineOf(image), Int16Array.from(lengths));
  return imageOf({ name: "edges.nii", bytes }, "edges").then((layer) => {
    layer.cal_min = 40;
    layer.cal_max = 255;
    layer.colormapType = FROM_ZERO;
    return layer;
  });
}

function placeOf(told: unknown): Place {
  const mm = (told as { mm?: ArrayLike<number> }).mm ?? [0, 0, 0];
  return [mm[0] ?? 0, mm[1] ?? 0, mm[2] ?? 0];
}
