"""A job on a server, as the Python client sees it."""

import gzip
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self

import nibabel
import numpy as np
import numpy.typing as npt

from volumes.formats import BY_NAME
from voxelsmith import extras
from voxelsmith.file_names import names_of
from voxelsmith.http.blocking import at_once, blocking, blocking_self, iterating
from voxelsmith.http.connection import Connection
from voxelsmith.problems import ClientError, JobFailed, JobNotDone, NoSuchResult, ServerUnreachable, ServiceUnavailable

OPEN_STATES = frozenset({"queued", "running"})
KNOWN_STATES = OPEN_STATES | {"succeeded", "failed", "canceled", "expired"}
PATIENCE_S = 30.0
"""wait() bears a server that does not answer for this long, such as one being restarted."""
MOST_SHOWN = 12
"""Previews in the picture that a notebook shows of a job."""
VIEWED = ("nii", "nii.gz", "nrrd", "mha")
"""The formats that NiiVue reads."""
LATE = 0.1
"""wait() looks so often that it learns of the end after this part of the job's time, or after 50 ms if that is more."""


class Server(Protocol):
    """What a job needs of the client that made it."""

    @property
    def connection(self) -> Connection: ...
    async def fetch_record(self, job_id: str) -> dict[str, Any]: ...
    async def cancel_job(self, job_id: str) -> dict[str, Any]: ...
    async def delete_job(self, job_id: str) -> None: ...
    async def read(self, url: str, sha256: str | None = None) -> bytes: ...
    async def save(self, url: str, path: Path, sha256: str | None = None) -> None: ...
    def events(self, job_id: str, after: str | None = None) -> AsyncIterator[tuple[str, str, Any]]: ...


class SeenJob:
    """What a JobRecord tells (`record`, as the server sent it), without asking the server."""

    @property
    def record(self) -> dict[str, Any]:
        """As of the last look."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.record.get('kind')} {self.state}>"

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

    def result(self, index: int = 0) -> dict[str, Any]:
        """The entry of result `index` in the record. Raises: NoSuchResult."""
        if not 0 <= index < len(self.results):
            raise NoSuchResult(f"job {self.id} has {len(self.results)} results; there is no number {index}")
        return self.results[index]

    def caption(self, index: int = 0) -> str:
        """What result `index` holds, in the words of the names of files. Raises: NoSuchResult."""
        entry = self.result(index)
        return Path(names_of(self.record).get(str(entry["name"]), str(entry["name"]))).name


class AsyncJob(SeenJob):
    """A job of AsyncClient: as Job, and what asks the server is awaited, also `metrics` and `latents`."""

    def __init__(self, server: Server, record: dict[str, Any]) -> None:
        self._server = server
        self._record = record

    @property
    def record(self) -> dict[str, Any]:
        return self._record

    @property
    async def metrics(self) -> dict[str, Any]:
        """PSNR, SSIM and MAE of an encode with `reconstruct`; R2 of a fitted direction. Waits for the job."""
        return dict((await self.wait()).record.get("metrics") or {})

    @property
    async def latents(self) -> npt.NDArray[np.float64]:
        """Latents of an encode, (n, z_dim) or (n, num_styles, w_dim). Waits for the job.

        Raises: JobFailed; NoSuchResult where the job has none.
        """
        latents = (await self.wait()).record.get("latents")
        if latents is None:
            raise NoSuchResult(f"job {self.id} ({self.record.get('kind')}) has no latents")
        return np.asarray(latents, dtype=np.float64)

    async def refresh(self) -> Self:
        self._record = await self._server.fetch_record(self.id)
        return self

    async def wait(
        self, timeout_s: float | None = None, on_look: Callable[[dict[str, Any]], object] | None = None
    ) -> Self:
        """Look until the job is done; `on_look` gets each record seen.

        Raises: JobFailed when the job ends as failed; JobNotDone after `timeout_s`; ServerUnreachable or
        ServiceUnavailable when the server stays silent for longer than PATIENCE_S.
        """
        begun = heard = time.monotonic()
        while not self.is_done:
            if timeout_s is not None and time.monotonic() - begun >= timeout_s:
                raise JobNotDone(f"job {self.id} is still {self.state} after {timeout_s:g} s")
            await self._server.connection.pause(min(max(0.05, LATE * (time.monotonic() - begun)), 1.0))
            try:
                await self.refresh()
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

    async def volume(self, index: int = 0) -> nibabel.Nifti1Image:
        """Result `index` as a NIfTI image in memory, checked against its SHA-256. Waits for the job.

        Raises: JobFailed; NoSuchResult, also where the result is not a NIfTI file (download() saves any format).
        """
        entry = (await self.wait()).result(index)
        name = str(entry["name"])
        if not any(BY_NAME[form].is_name_of(name) for form in ("nii", "nii.gz")):
            raise NoSuchResult(f"{name} is not a NIfTI file; use download() for other formats")
        data = await self._server.read(str(entry["url"]), entry.get("sha256"))
        return nibabel.Nifti1Image.from_bytes(gzip.decompress(data) if name.endswith(".gz") else data)

    async def preview(self, index: int = 0) -> bytes:
        """The three-plane PNG of result `index`. Waits for the job. Raises: JobFailed, NoSuchResult."""
        name = (await self.wait()).result(index).get("preview")
        if not name:
            raise NoSuchResult(f"result {index} of job {self.id} has no preview")
        return await self._server.read(f"/jobs/{self.id}/results/{name}")

    async def show(self, index: int | None = None) -> None:
        """In a notebook, the previews of all results below the cell, or that of result `index`. Waits for the job.

        Raises: JobFailed, NoSuchResult; NoNotebook elsewhere; MissingExtraError without the extra `notebook`.
        """
        pictures = extras.load("voxelsmith.notebook.pictures", "notebook")
        wanted = range(len((await self.wait()).results)) if index is None else [index]
        pictures.show([(self.caption(k), await self.preview(k)) for k in wanted])

    async def view(self, index: int = 0) -> Any:
        """In a notebook, a viewer of result `index` to turn and to scroll in: ipyniivue's `NiiVue`. Waits for the job.

        Raises: JobFailed, NoSuchResult; MissingExtraError without the extra `notebook`.
        """
        viewer = extras.load("voxelsmith.notebook.viewer", "notebook")
        entry = (await self.wait()).result(index)
        if not any(BY_NAME[form].is_name_of(str(entry["name"])) for form in VIEWED):
            raise NoSuchResult(f"{entry['name']} is of a format that the viewer does not read; use download()")
        return viewer.view(str(entry["name"]), await self._server.read(str(entry["url"]), entry.get("sha256")))

    async def download(self, folder: str | Path) -> list[Path]:
        """Save every result and companion (previews, provenance.json, latents.npy) under its own name in `folder`.

        Waits for the job. Raises: JobFailed.
        """
        return await (await self.wait()).download_finished(folder)

    async def download_finished(
        self, folder: str | Path, names: Mapping[str, str] = MappingProxyType({})
    ) -> list[Path]:
        """As download(), of what the job had finished at the last look at it, whatever has become of it.

        `names`: other names for some of the files.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        saved = []
        for entry in [*self.results, *(self.record.get("files") or [])]:
            name = str(entry["name"])
            path = target / Path(names.get(name, name)).name
            await self._server.save(str(entry["url"]), path, entry.get("sha256"))
            saved.append(path)
        return saved

    async def events(self, after: str | None = None) -> AsyncIterator[tuple[str, str, Any]]:
        """(event id, type, data) as they happen, to the terminal `end`; `after` resumes behind an event id."""
        async for event in self._server.events(self.id, after):
            yield event

    async def cancel(self) -> Self:
        """Ask a queued or running job to stop; what it finished is kept. A finished job is left as it is."""
        self._record = await self._server.cancel_job(self.id)
        return self

    async def remove(self) -> None:
        """Remove a finished job and its results. Raises: JobNotDone while it has not ended."""
        if not (await self.refresh()).is_done:
            raise JobNotDone(f"job {self.id} is still {self.state}; cancel it first")
        await self._server.delete_job(self.id)


class Job(SeenJob):
    """A JobRecord (`record`, as the server sent it) and what can be done with it."""

    def __init__(self, awaited: AsyncJob) -> None:
        self._awaited = awaited

    @property
    def record(self) -> dict[str, Any]:
        return self._awaited.record

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows of a job that has ended: up to MOST_SHOWN previews in one picture."""
        shown = [k for k, entry in enumerate(self.results) if entry.get("preview")][:MOST_SHOWN] if self.is_done else []
        try:
            previews = [(self.caption(k), self.preview(k)) for k in shown]
            return extras.load("voxelsmith.contact_sheet", "notebook").contact_sheet(previews) if previews else None
        except (ClientError, extras.MissingExtraError, KeyError):  # the last, of a record of another version
            return None

    @property
    def metrics(self) -> dict[str, Any]:
        """PSNR, SSIM and MAE of an encode with `reconstruct`; R2 of a fitted direction. Waits for the job."""
        return at_once(self._awaited.metrics)

    @property
    def latents(self) -> npt.NDArray[np.float64]:
        """Latents of an encode, (n, z_dim) or (n, num_styles, w_dim). Waits for the job.

        Raises: JobFailed; NoSuchResult where the job has none.
        """
        return at_once(self._awaited.latents)

    refresh = blocking_self(AsyncJob.refresh)
    wait = blocking_self(AsyncJob.wait)
    volume = blocking(AsyncJob.volume)
    preview = blocking(AsyncJob.preview)
    show = blocking(AsyncJob.show)
    view = blocking(AsyncJob.view)
    download = blocking(AsyncJob.download)
    download_finished = blocking(AsyncJob.download_finished)
    events = iterating(AsyncJob.events)
    cancel = blocking_self(AsyncJob.cancel)
    remove = blocking(AsyncJob.remove)
