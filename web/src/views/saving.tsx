// Downloads of a job: one file, or all in one archive.
import { useSignal } from "@preact/signals";

import { saveArchive, saveFile } from "../api/save";
import type { JobRecord, ResultFile } from "../api/types";
import { bytes } from "../text/words";
import { Button } from "../ui/controls";
import { Menu } from "../ui/menu";
import { attempt } from "../ui/toast";

export const MAX_ARCHIVE_BYTES = 1.5e9; // held in the browser until it is saved

/** How the names of a job's files begin on the person's disk. */
export function stemOf(record: JobRecord): string {
  return `${record.model}-${record.id.slice(0, 8)}`;
}

/** One file as it is, several in one archive. */
export async function saveSeveral(
  record: JobRecord,
  files: readonly ResultFile[],
  told: (done: number) => void,
): Promise<void> {
  const [first] = files;
  if (first && files.length === 1) await saveFile(first.url, `${stemOf(record)}-${first.name}`);
  else await saveArchive(files, `${stemOf(record)}.zip`, told);
}

export function Saving({ record, isCompact = false }: { record: JobRecord; isCompact?: boolean }) {
  const files = [...record.results, ...record.files];
  const size = files.reduce((sum, file) => sum + file.size_bytes, 0);
  const done = useSignal<number | null>(null);
  if (files.length === 0) return null;
  const stem = stemOf(record);
  const saveAll = async (): Promise<void> => {
    done.value = 0;
    await attempt(() => saveArchive(files, `${stem}.zip`, (count) => (done.value = count)));
    done.value = null;
  };
  return (
    <Menu icon="download" label="Download" isCompact={isCompact}>
      <li>
        <Button
          kind="quiet"
          icon="download"
          isDisabled={done.value !== null || size > MAX_ARCHIVE_BYTES}
          onClick={() => void saveAll()}
        >
          {done.value === null ? `All files (${bytes(size)})` : `${done.value} of ${files.length}`}
        </Button>
      </li>
      {files.map((file) => (
        <li key={file.name}>
          <Button
            kind="quiet"
            icon="download"
            onClick={() => void attempt(() => saveFile(file.url, `${stem}-${file.name}`))}
          >
            {file.name} <span class="hint">{bytes(file.size_bytes)}</span>
          </Button>
        </li>
      ))}
    </Menu>
  );
}
