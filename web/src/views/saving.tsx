// Downloads of a job: one file, or all in one archive.
import { useSignal } from "@preact/signals";

import { saveArchive, saveFile } from "../api/save";
import type { JobRecord } from "../api/types";
import { bytes } from "../text/words";
import { Button } from "../ui/controls";
import { Menu } from "../ui/menu";
import { attempt } from "../ui/toast";

const MAX_ARCHIVE_BYTES = 1.5e9; // held in the browser until it is saved

export function Saving({ record, isCompact = false }: { record: JobRecord; isCompact?: boolean }) {
  const files = [...record.results, ...record.files];
  const size = files.reduce((sum, file) => sum + file.size_bytes, 0);
  const done = useSignal<number | null>(null);
  if (files.length === 0) return null;
  const stem = `${record.model}-${record.id.slice(0, 8)}`;
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
