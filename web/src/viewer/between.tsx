// The ways from one volume to the other: a cut that is moved across, and how much of the second covers the first.
import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

import { Slider } from "../ui/controls";
import type { Stage } from "./stage";

/** Left of the cut is the first volume, right of it the second. */
export function Swipe({ frame }: { frame: RefObject<HTMLElement | null> }) {
  const share = useSignal(50);
  useEffect(() => frame.current?.style.setProperty("--swipe", `${share.value}%`), [frame, share.value]);
  return (
    <div class="between">
      <Slider
        label="Swipe"
        min={0}
        max={100}
        step={1}
        value={share.value}
        text={`${share.value}% from the left`}
        onInput={(next) => (share.value = next)}
      />
    </div>
  );
}

export function Blend({ stage }: { stage: Stage }) {
  const percent = useSignal(50);
  useEffect(() => stage.setOpacity(percent.value / 100), [stage, percent.value]);
  return (
    <div class="between">
      <Slider
        label="Opacity"
        min={0}
        max={100}
        step={1}
        value={percent.value}
        text={`${percent.value}%`}
        onInput={(next) => (percent.value = next)}
      />
    </div>
  );
}
