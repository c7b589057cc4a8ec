// One job by its address.
import { useJob } from "../jobs/watch";
import { JobPanel } from "./jobpanel";

export function JobView({ id }: { id: string }) {
  const { record, problem } = useJob(id);
  return (
    <div class="solo">
      <h1>Job</h1>
      <JobPanel record={record} problem={problem} />
    </div>
  );
}
