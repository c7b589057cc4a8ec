// NiiVue writes its letters onto the image, light on light where a scan is bright: here each has a dark plate below it.
import type { Niivue } from "@niivue/niivue";

const PLATE = [0.025, 0.031, 0.039, 0.72];

export function withPlates(nv: Niivue): void {
  const write = nv.drawText.bind(nv);
  nv.drawText = (place, text, scale = 1, colour = null) => {
    const size = nv["fontPx"] * scale;
    const [x = 0, y = 0] = place;
    nv.drawRect([x - size * 0.2, y, nv.textWidth(size, text) + size * 0.4, size * 1.15], PLATE);
    write(place, text, scale, colour);
  };
}
