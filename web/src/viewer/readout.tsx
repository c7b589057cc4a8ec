// Where the cursor is, and what lies there.
import { figure } from "../text/words";
import type { Place } from "./pane";
import type { Shown, Stage } from "./stage";

const ENDS = [
  ["R", "L"],
  ["A", "P"],
  ["S", "I"],
] as const;

/** RAS millimetres as a reading room says them: "R 12.5  P 4.0  S 22.1". */
export function spoken(mm: Place): string {
  return ENDS.map((_, axis) => spokenAlong(axis, mm[axis] ?? 0)).join("  ");
}

export function spokenAlong(axis: number, mm: number): string {
  const [positive, negative] = ENDS[axis] ?? ENDS[0];
  return `${mm < 0 ? negative : positive} ${Math.abs(mm).toFixed(1)}`;
}

function told(value: number | null | undefined, unit: string): string {
  return value === null || value === undefined ? "outside" : `${figure(value)} ${unit}`.trim();
}

export function Readout({ stage, first, second }: { stage: Stage; first: Shown | null; second: Shown | null }) {
  const cursor = stage.cursor.value;
  const [a, b] = cursor?.values ?? [];
  const isComparable =
    first && second && first.scale === second.scale && typeof a === "number" && typeof b === "number";
  return (
    <div class="readout">
      <dl data-testid="readout">
        <div>
          <dt>Position</dt>
          <dd>{cursor && first ? `${spoken(cursor.mm)} mm` : "–"}</dd>
        </div>
        <div>
          <dt>{second ? "Left" : "Value"}</dt>
          <dd>{cursor && first ? told(a, first.unit) : "–"}</dd>
        </div>
        {second && (
          <div>
            <dt>Right</dt>
            <dd>{cursor ? told(b, second.unit) : "–"}</dd>
          </div>
        )}
        {isComparable && (
          <div>
            <dt>Right − left</dt>
            <dd>{told(b - a, first.unit)}</dd>
          </div>
        )}
        {cursor && cursor.difference !== null && (
          <div>
            <dt>Difference</dt>
            <dd>{told(cursor.difference, first?.unit ?? "")}</dd>
          </div>
        )}
      </dl>
      <p class="readout-note">Synthetic. Not for diagnosis.</p>
    </div>
  );
}
