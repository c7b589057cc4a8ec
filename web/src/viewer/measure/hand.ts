// Drawing by hand on the image, with a mouse, a pen or a finger: from where it is pressed to where it is let go.
import { useRef } from "preact/hooks";

import type { Stage } from "../stage";
import { tileAt, type Tile, voxelAt } from "./tiles";

/** A press that moves less is a click, which moves the cursor. */
const LEAST_PX = 4;

interface Drag {
  tile: Tile;
  from: readonly [number, number];
}

interface Hand {
  onPointerDownCapture: (event: PointerEvent) => void;
  onPointerMoveCapture: (event: PointerEvent) => void;
  onPointerUpCapture: (event: PointerEvent) => void;
  onPointerCancelCapture: () => void;
  onMouseDownCapture: (event: MouseEvent) => void;
  onTouchStartCapture: (event: TouchEvent) => void;
  onTouchMoveCapture: (event: TouchEvent) => void;
}

/** For the element around a pane's canvas. NiiVue hears nothing of what measures. */
export function useHand(stage: Stage, index: 0 | 1): Hand {
  const drag = useRef<Drag | null>(null);
  const { measuring } = stage;
  const tileUnder = (at: readonly [number, number]): Tile | null =>
    measuring.isOn.value ? tileAt(stage.slots[index].pane?.tiles ?? [], ...at) : null;
  const kept = (event: TouchEvent): void => {
    if (drag.current) event.stopPropagation();
  };
  return {
    onPointerDownCapture: (event) => {
      const from = placeOf(event);
      const tile = event.button === 0 && event.isPrimary ? tileUnder(from) : null;
      if (!tile) return;
      (event.currentTarget as Element).setPointerCapture(event.pointerId);
      drag.current = { tile, from };
    },
    onPointerMoveCapture: (event) => {
      if (!drag.current) return;
      const { tile, from } = drag.current;
      const [x, y] = placeOf(event);
      const isDragged = Math.hypot(x - from[0], y - from[1]) >= LEAST_PX;
      if (isDragged && !measuring.isDragging) stage.beginAt(index, tile.axis, voxelAt(tile, ...from));
      if (measuring.isDragging) measuring.end.value = voxelAt(tile, ...within(tile, x, y));
    },
    onPointerUpCapture: (event) => {
      if (!drag.current) return;
      const { tile } = drag.current;
      const voxel = voxelAt(tile, ...within(tile, ...placeOf(event)));
      drag.current = null;
      if (measuring.isDragging) measuring.finish(voxel);
      else stage.goToVoxel(index, voxel);
    },
    onPointerCancelCapture: () => {
      if (drag.current && measuring.isDragging) measuring.drop();
      drag.current = null;
    },
    onMouseDownCapture: (event) => {
      if (event.button === 0 && tileUnder(placeOf(event))) event.stopPropagation();
    },
    onTouchStartCapture: kept,
    onTouchMoveCapture: kept,
  };
}

function placeOf(event: MouseEvent): [number, number] {
  const { left, top } = (event.currentTarget as Element).getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

function within({ left, top, width, height }: Tile, x: number, y: number): [number, number] {
  return [Math.min(left + width, Math.max(left, x)), Math.min(top + height, Math.max(top, y))];
}
