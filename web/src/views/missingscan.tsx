// A scan is gone after a reload: the file can be given again, to be shown beside what came of it.
import type { JobRecord } from "../api/types";
import { rememberScan, scanOf } from "../jobs/scans";
import { DropZone } from "../ui/dropzone";

export function MissingScan({ record }: { record: JobRecord }) {
  const { id, kind, request, results } = record;
  if (kind !== "encode" || request["source"] || results.length === 0 || scanOf(id)) return null;
  return (
    <DropZone
      label="Show the scan beside it: the service does not keep scans"
      file={null}
      onFile={(given) => rememberScan(id, given)}
    />
  );
}
