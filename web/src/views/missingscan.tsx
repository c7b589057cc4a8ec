// A scan is gone after a reload: the file can be given again, to be shown beside what came of it.
import { READABLE } from "../api/formats";
import type { JobRecord } from "../api/types";
import { scanJobOf } from "../jobs/kinds";
import { isDicom, rememberScan, scanOf } from "../jobs/scans";
import { DropZone } from "../ui/dropzone";

const SHOWN = READABLE.filter((ending) => !isDicom(new File([], ending)));

export function MissingScan({ record }: { record: JobRecord }) {
  const job = scanJobOf(record);
  if (job === null || record.results.length === 0 || scanOf(job)) return null;
  return (
    <DropZone
      label="Show the scan beside it: the service does not keep scans"
      file={null}
      endings={SHOWN}
      onFile={(given) => rememberScan(job, given)}
    />
  );
}
