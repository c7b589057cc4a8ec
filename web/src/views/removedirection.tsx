// Takes away a direction that was fitted here; those that came with a model stay.
import { api } from "../api/calls";
import { loadDirections } from "../catalogue";
import { confirmed } from "../ui/confirm";
import { Button } from "../ui/controls";
import { attempt } from "../ui/toast";

export function RemoveDirection({ model, name }: { model: string; name: string }) {
  const remove = async (): Promise<void> => {
    const detail = "Its slider goes, for everyone who uses the model.";
    if (!(await confirmed(`Delete the direction ${name}?`, detail, "Delete"))) return;
    if (await attempt(() => api.removeDirection(model, name))) await loadDirections(model);
  };
  return <Button kind="quiet" icon="trash" label={`Remove the direction ${name}`} onClick={() => void remove()} />;
}
