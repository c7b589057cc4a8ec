// What the views that take a scan have in common: the scan, then what a job made of it beside it.
import { useMemo } from "preact/hooks";

import { isDicom, scanOf, shownScan } from "../jobs/scans";
import { useJob } from "../jobs/watch";
import { route } from "../route";
import { Empty } from "../ui/notices";
import { Viewer } from "../viewer/viewer";
import { JobPanel } from "./jobpanel";
import { MissingScan } from "./missingscan";

/** `chosen`: the scan that would be sent next; `hint`: what becomes of it. */
export function ScanStage({ label, hint, chosen }: { label: string; hint: string; chosen: File | null }) {
  const job = route.value.query["job"];
  const { record, problem } = useJob(job ?? null);
  const file = job ? scanOf(job) : chosen;
  const scan = useMemo(() => (file && !isDicom(file) ? shownScan(file) : null), [file]);
  return (
    <section class="stage" aria-label={label}>
      {job ? (
        <>
          <JobPanel record={record} problem={problem} scan={scan} />
          {record && <MissingScan record={record} />}
        </>
      ) : (
        <>
          {!file && (
            <Empty icon="upload" title="No scan yet">
              <p>{hint}</p>
            </Empty>
          )}
          {isDicom(file) && (
            <Empty icon="upload" title="A DICOM series">
              <p>The service makes a volume of it. The page shows what comes of that, not the series itself.</p>
            </Empty>
          )}
          <Viewer first={scan} />
        </>
      )}
    </section>
  );
}
