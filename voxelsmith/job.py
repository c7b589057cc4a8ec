"""A job on a server, as the Python client sees it."""

import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self

import nibabel
import numpy as np
import numpy.typing as npt

from volumes.formats import BY_NAME
from voxelsmith.problems import JobFailed, JobNotDone, NoSuchResult, ServerUnreachable, ServiceUnavailable

OPEN_STATES = frozenset({"queued", "running"})
KNOWN_STATES = OPEN_STATES | {"succeeded", "failed", "canceled", "expired"}
PATIENCE_S = 30.0
"""wait() bears a server that does not answer for this long, such as one being restarted."""
LATE = 0.1
"""wait() looks so often that it learns of the end after this part of the job's time, or after 50 ms if that is more."""


class Server(Protocol):
    """What a job needs of the client that made it."""

    def fetch_record(self, job_id: str) -> dict[str, Any]: ...
    def cancel_job(self, job_id: str) -> dict[str, Any]: ...
    def delete_job(self, job_id: str) -> None: ...
    def read(self, url: str, sha256: str | None = None) -> bytes: ...
    def save(self, url: str, path: Path, sha256: str | None = None) -> None: ...
    def events(self, job_id: str, after: str | None = None) -> Iterator[tuple[str, str, Any]]: ...


class Job:
    """A JobRecord (`record`, as the server sent it) and what can be done with it."""

    def __init__(self, server: Server, record: dict[str, Any]) -> None:
        self._server = server
        self.record = record

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.record.get('kind')} {self.state}>"

    @property
    def id(self) -> str:
        return str(self.record["id"])

    @property
    def state(self) -> str:
        """The state at the last look; refresh() or wait() looks again."""
        return str(self.record["state"])

    @property
    def is_done(self) -> bool:
        """In a final state. One that this client does not know is final once the job has an end time."""
        return self.state not in OPEN_STATES and (self.state in KNOWN_STATES or bool(self.record.get("ended_at")))

    @property
    def results(self) -> list[dict[str, Any]]:
        return list(self.record.get("results") or [])

    @property
    def metrics(self) -> dict[str, Any]:
        """PSNR, SSIM and MAE of an encode with `reconstruct`; R2 of a fitted direction. Waits for the job."""
        return dict(self.wait().record.get("metrics") or {})

    @property
    def latents(self) -> npt.NDArray[np.float64]:
        """Latents of an encode, (n, z_dim) or (n, num_styles, w_dim). Waits for the job.

        Raises: JobFailed; NoSuchResult where the job has none.
        """
        latents = self.wait().record.get("latents")
        if latents is None:
            raise NoSuchResult(f"job {self.id} ({self.record.get('kind')}) has no latents")
        return np.asarray(latents, dtype=np.float64)

    def refresh(self) -> Self:
        self.record = self._server.fetch_record(self.id)
        return self

    def wait(self, timeout_s: float | None = None, on_look: Callable[[dict[str, Any]], object] | None = None) -> Self:
        """Look until the job is done; `on_look` gets each record seen.

        Raises: JobFailed when the job ends as failed; JobNotDone after `timeout_s`; ServerUnreachable or
        ServiceUnavailable when the server stays silent for longer than PATIENCE_S.
        """
        begun = heard = time.monotonic()
        while not self.is_done:
            if timeout_s is not None and time.monotonic() - begun >= timeout_s:
                raise JobNotDone(f"job {self.id} is still {self.state} after {timeout_s:g} s")
            time.sleep(min(max(0.05, LATE * (time.monotonic() - begun)), 1.0))
            try:
                self.refresh()
                heard = time.monotonic()
            except (ServerUnreachable, ServiceUnavailable):
                if time.monotonic() - heard > PATIENCE_S:
                    raise
                continue
            if on_look:
                on_look(self.record)
        if self.state == "failed":
            error = self.record.get("error") or {}
            raise JobFailed(self.id, str(error.get("code", "job_failed")), str(error.get("detail", "no reason given")))
        return self

    def result(self, index: int = 0) -> dict[str, Any]:
        """The entry of result `index` in the record. Raises: NoSuchResult."""
        if not 0 <= index < len(self.results):
            raise NoSuchResult(f"job {self.id} has {len(self.results)} results; there is no number {index}")
        return self.results[index]

    def volume(self, index: int = 0) -> nibabel.Nifti1Image:
        """Result `index` as a NIfTI image in memory, checked against its SHA-256. Waits for the job.

        Raises: JobFailed; NoSuchResult, also where the result is not a NIfTI file (download() saves any format).
        """
        entry = self.wait().result(index)
        name = str(entry["name"])
        if not any(BY_NAME[form].is_name_of(name) for form in ("nii", "nii.gz")):
            raise NoSuchResult(f"{name} is not a NIfTI file; use download() for other formats")
        data = self._server.read(str(entry["url"]), entry.get("sha256"))
        return nibabel.Nifti1Image.from_bytes(gzip.decompress(data) if name.endswith(".gz") else data)

    def preview(self, index: int = 0) -> bytes:
        """The three-plane PNG of result `index`. Waits for the job. Raises: JobFailed, NoSuchResult."""
        name = self.wait().result(index).get("preview")
        if not name:
            raise NoSuchResult(f"result {index} of job {self.id} has no preview")
        return self._server.read(f"/jobs/{self.id}/results/{name}")

    def download(self, folder: str | Path) -> list[Path]:
        """Save every result and companion (previews, provenance.json, latents.npy) under its own name in `folder`.

        Waits for the job. Raises: JobFailed.
        """
        return self.wait().download_finished(folder)

    def download_finished(self, folder: str | Path, names: Mapping[str, str] = MappingProxyType({})) -> list[Path]:
        """As download(), of what the job had finished at the last look at it, whatever has become of it.

        `names`: other names for some of the files.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        saved = []
        for entry in [*self.results, *(self.record.get("files") or [])]:
            name = str(entry["name"])
            path = target / Path(names.get(name, name)).name
            self._server.save(str(entry["url"]), path, entry.get("sha256"))
            saved.append(path)
        return saved

    def events(self, after: str | None = None) -> Iterator[tuple[str, str, Any]]:
        """(event id, type, data) as they happen, to the terminal `end`; `after` resumes behind an event id."""
        return self._server.events(self.id, after)

    def cancel(self) -> Self:
        """Ask a queued or running job to stop; what it finished is kept. A finished job is left as it is."""
        self.record = self._server.cancel_job(self.id)
        return self

    def remove(self) -> None:
        """Remove a finished job and its results. Raises: JobNotDone while it has not ended."""
        if not self.refresh().is_done:
            raise JobNotDone(f"job {self.id} is still {self.state}; cancel it first")
        self._server.delete_job(self.id)
