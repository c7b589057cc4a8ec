// Colour maps of the page's own: clear where there is nothing to show, so that the volume below is seen as it is.
import type { Niivue } from "@niivue/niivue";

/** Values of a colour map at a few places from 0 to 255; NiiVue goes straight from one to the next. */
const MAPS = {
  // Where the second volume is brighter, and where it is darker: one colour each, denser the larger the difference.
  brighter: { R: [230, 255, 255], G: [60, 130, 225], B: [40, 30, 120], A: [0, 170, 255], I: [0, 128, 255] },
  darker: { R: [60, 40, 140], G: [110, 170, 235], B: [230, 255, 255], A: [0, 170, 255], I: [0, 128, 255] },
  edges: { R: [90, 90, 200], G: [230, 230, 255], B: [240, 240, 255], A: [0, 150, 255], I: [0, 128, 255] },
} as const;

export function addColours(nv: Niivue): void {
  for (const [name, { R, G, B, A, I }] of Object.entries(MAPS))
    nv.addColormap(name, { R: [...R], G: [...G], B: [...B], A: [...A], I: [...I] });
}
