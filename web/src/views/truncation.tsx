// Truncation: psi toward the mean style, or the level at which z's normal distribution is cut. The card says which.
import type { ModelCard } from "../api/types";
import { NumberSlider } from "../ui/numberslider";

const LEVEL = { min: 0.2, max: 4, step: 0.1 };
const PSI = { min: 0, max: 1, step: 0.05 };

interface TruncationProps {
  card: ModelCard;
  /** null: as the card has it. */
  value: number | null;
  onChange: (value: number | null) => void;
}

export function Truncation({ card, value, onChange }: TruncationProps) {
  const { kind, default: own } = card.truncation;
  const isPsi = kind === "psi";
  const limits = isPsi ? PSI : LEVEL;
  const current = value ?? own;
  const name = current === null ? "off" : `${isPsi ? "ψ" : "±"} ${current.toFixed(isPsi ? 2 : 1)}${isPsi ? "" : " SD"}`;
  return (
    <NumberSlider
      label="Truncation"
      {...limits}
      value={current ?? limits.max}
      text={value === null && own !== null ? `${name}, the model's own` : name}
      hint={
        isPsi
          ? "Lower is nearer to the mean style: more typical, less varied."
          : "Cuts the tails of z: lower is more typical, less varied."
      }
      onInput={(next) => onChange(next >= limits.max && own === null ? null : next)}
      onReset={() => onChange(null)}
    />
  );
}
