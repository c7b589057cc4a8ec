// A form that takes over an earlier job's request, to be changed: the one in the address, or one it is to begin from.
import { useEffect } from "preact/hooks";

import { api } from "../api/calls";
import type { JobRecord } from "../api/types";
import { note, route } from "../route";
import { attempt } from "../ui/toast";
import { useJob } from "../jobs/watch";

/** `takeModel`: a link that names a model chooses it. */
export function useTakeOver(
  kind: JobRecord["kind"],
  takeOver: (job: JobRecord) => void,
  takeModel: (name: string) => void,
): void {
  const { job, from, model } = route.value.query;
  useEffect(() => {
    if (!model) return;
    takeModel(model);
    note({ model: null });
  }, [model]);
  const { record } = useJob(job ?? null);
  useEffect(() => void (from && fill(from, takeOver)), [from]);
  useEffect(() => void (record?.kind === kind && takeOver(record)), [record?.id]);
}

async function fill(from: string, takeOver: (job: JobRecord) => void): Promise<void> {
  await attempt(async () => takeOver(await api.job(from)));
  note({ from: null });
}
