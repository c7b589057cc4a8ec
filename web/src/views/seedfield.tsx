// A seed, with dice and the seeds used before.
import { remember, seeds, throwDice } from "../jobs/seeds";
import { Button, NumberField } from "../ui/controls";

export const MAX_SEED = 2 ** 53 - 65;

interface SeedFieldProps {
  label?: string;
  value: number;
  hint?: string | undefined;
  onChange: (seed: number) => void;
}

export function SeedField({ label = "Seed", value, hint, onChange }: SeedFieldProps) {
  const history = seeds.value.filter((seed) => seed !== value).slice(0, 6);
  return (
    <div class="seed">
      <NumberField
        label={label}
        value={value}
        min={0}
        max={MAX_SEED}
        hint={hint}
        onChange={onChange}
        after={
          <Button
            icon="dice"
            label={`Throw dice for ${label.toLowerCase()}`}
            onClick={() => {
              remember(value);
              onChange(throwDice());
            }}
          />
        }
      />
      {history.length > 0 && (
        <ul class="chips" aria-label="Seeds used before">
          {history.map((seed) => (
            <li key={seed}>
              <button type="button" class="chip" aria-label={`Use seed ${seed}`} onClick={() => onChange(seed)}>
                {seed}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
