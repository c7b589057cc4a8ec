// When NiiVue draws: once for each frame, however many events there were. Where the processor has to do the graphics, the
// planes come at once and the 3D view when the hand rests, unless it is the 3D view that is being turned.
import type { Niivue } from "@niivue/niivue";

import { fitCrosshair } from "./crosshair";

const REST_MS = 300;
/** A canvas of fewer pixels is being laid out: NiiVue would ask for tiles of negative size. */
const SMALLEST = 32;

export class Drawing {
  private readonly draw: () => unknown;
  private frame: number | null = null;
  private rest: ReturnType<typeof setTimeout> | undefined;
  private isPlanesOnly = false;
  private waiting: (() => void)[] = [];
  private readonly stop = new AbortController();
  /** Whether the 3D view is being turned. */
  private isTurning = false;
  private isHeld = false;

  constructor(
    private readonly nv: Niivue,
    private readonly hasTiles: () => boolean,
    private readonly told: (isBehind: boolean) => void,
    private readonly isSlow = isSoftware(nv.gl),
  ) {
    const scene = nv.drawScene.bind(nv);
    this.draw = () => {
      if (Math.min(nv.gl.drawingBufferWidth, nv.gl.drawingBufferHeight) >= SMALLEST) scene();
    };
    nv.drawScene = () => this.ask();
    const cast = nv.drawImage3D.bind(nv);
    nv.drawImage3D = (...view) => {
      if (!this.isPlanesOnly) cast(...view);
    };
    if (this.isSlow) this.watchTurning();
  }

  private watchTurning(): void {
    const { canvas } = this.nv.gl;
    const { signal } = this.stop;
    const turned = (event: Event): void => {
      const { offsetX, offsetY } = event as MouseEvent;
      const dots = this.nv.uiData.dpr ?? 1;
      this.isTurning = this.nv.inRenderTile(offsetX * dots, offsetY * dots) >= 0;
    };
    const rested = (): void => {
      this.isTurning = false;
    };
    canvas.addEventListener("pointerdown", turned, { signal, capture: true });
    for (const type of ["pointerup", "pointercancel"]) addEventListener(type, rested, { signal });
  }

  /** Resolves when what was asked for is on the canvas. */
  done(): Promise<void> {
    if (this.frame === null || document.hidden) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** All of it, at once. */
  now(): void {
    this.isPlanesOnly = false;
    this.draw();
    this.told(false);
  }

  private ask(): undefined {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.isPlanesOnly = this.isSlow && !this.isTurning && this.hasTiles();
      try {
        this.draw();
        if (fitCrosshair(this.nv)) this.draw();
      } finally {
        for (const resolve of this.waiting.splice(0)) resolve();
      }
      this.told(this.isPlanesOnly);
      this.finishLater();
    });
  }

  /** The 3D view waits: whoever makes the next volume needs the same processor. */
  hold(isHeld: boolean): void {
    if (isHeld === this.isHeld) return;
    this.isHeld = isHeld;
    this.finishLater();
  }

  private finishLater(): void {
    clearTimeout(this.rest);
    if (this.isPlanesOnly && !this.isHeld) this.rest = setTimeout(() => this.now(), REST_MS);
  }

  close(): void {
    this.stop.abort();
    clearTimeout(this.rest);
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    for (const resolve of this.waiting.splice(0)) resolve();
    this.nv.drawScene = () => undefined;
  }
}

/** Whether the processor does the graphics. */
export function isSoftware(gl: WebGL2RenderingContext): boolean {
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}
