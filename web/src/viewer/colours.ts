// Colour maps: those a scan can be looked at in, and the page's own, clear where there is nothing to show.
import type { Niivue } from "@niivue/niivue";

/** By NiiVue's names; those in colour are as even to the eye as their values are. */
export const COLOUR_MAPS = [
  ["gray", "Grey"],
  ["inverted", "Inverted grey"],
  ["viridis", "Viridis"],
  ["magma", "Magma"],
  ["inferno", "Inferno"],
] as const;
export type ColourMap = (typeof COLOUR_MAPS)[number][0];

/** Values of a colour map at a few places from 0 to 255; NiiVue goes straight from one to the next. */
const MAPS = {
  // Clear at the dark end of the values, as NiiVue's grey: in 3D the air is not seen.
  inverted: { R: [255, 0], G: [255, 0], B: [255, 0], A: [0, 128], I: [0, 255] },
  // Where the second volume is brighter, and where it is darker: one colour each, denser the larger the difference.
  brighter: { R: [230, 255, 255], G: [60, 130, 225], B: [40, 30, 120], A: [0, 170, 255], I: [0, 128, 255] },
  darker: { R: [60, 40, 140], G: [110, 170, 235], B: [230, 255, 255], A: [0, 170, 255], I: [0, 128, 255] },
  edges: { R: [90, 90, 200], G: [230, 230, 255], B: [240, 240, 255], A: [0, 150, 255], I: [0, 128, 255] },
} as const;

export function addColours(nv: Niivue): void {
  for (const [name, { R, G, B, A, I }] of Object.entries(MAPS))
    nv.addColormap(name, { R: [...R], G: [...G], B: [...B], A: [...A], I: [...I] });
}
