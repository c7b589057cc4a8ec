// Which class of a conditional model is meant.
import type { ModelCard } from "../api/types";
import { Select } from "../ui/controls";

/** The part of a request that names the class; empty for a model without classes. */
export interface Given {
  class_label?: string;
}

/** `label`: a name, or an index as older requests may have it; of any other the model's first class is taken. */
export function givenFor({ classes }: ModelCard, label: string): Given {
  const name = classes.includes(label) ? label : (classes[Number(label)] ?? classes[0]);
  return name === undefined ? {} : { class_label: name };
}

export function labelOf(request: object): string {
  return "class_label" in request ? String(request.class_label ?? "") : "";
}

interface ClassFieldProps {
  card: ModelCard;
  value: string;
  onChange: (name: string) => void;
}

export function ClassField({ card, value, onChange }: ClassFieldProps) {
  const { class_label } = givenFor(card, value);
  if (class_label === undefined) return null;
  const options = card.classes.map((name) => [name, name] as const);
  return <Select label="Class" value={class_label} options={options} onChange={onChange} />;
}
