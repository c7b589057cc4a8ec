"""The jobs of a data set on a server: one that is there already is not made again."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar, Unpack

from voxelsmith.dataset.making import OnVolume, make_dataset
from voxelsmith.dataset.plan import Piece, Plan, Wishes
from voxelsmith.job import PATIENCE_S, Job
from voxelsmith.problems import ClientError, HttpProblem, JobStopped, ServerUnreachable, ServiceUnavailable

T = TypeVar("T")
_PAUSE_S = 0.5


class Server(Protocol):
    """What of the client is used."""

    def model(self, name: str) -> dict[str, Any]: ...
    def submit(self, kind: str, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Job: ...


class DataSets:
    """The client's data sets."""

    def dataset(
        self: Server, model: str, out: str | Path, *, on_volume: OnVolume = lambda *_: None, **wishes: Unpack[Wishes]
    ) -> Plan:
        """Make a data set of `count` volumes in the folder `out`, by as many jobs as it takes; docs/datasets.md.

        The same call goes on where one was stopped, and a larger `count` adds to what is there. `on_volume` gets how
        many volumes are there, of how many, and the seconds left, or None where they cannot be told yet.

        Raises: DataSetRefused, DiskFull, JobFailed; JobStopped, where somebody canceled a job; what the server refuses.
        """
        return make_dataset(model, Path(out), OnServer(self), on_volume, **wishes)


class OnServer:
    """A Maker (voxelsmith.dataset.making). Jobs are named by idempotency keys, so that a killed command finds them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._jobs: dict[str, Job] = {}

    def card(self, model: str) -> Mapping[str, Any]:
        return self._server.model(model)

    def expect(self, pieces: Iterable[Piece]) -> None:
        """Queues them, so that all workers have work and none waits for downloads; as many as the server takes."""
        with suppress(HttpProblem, ServerUnreachable):
            for piece in pieces:
                if piece.key not in self._jobs:
                    self._jobs[piece.key] = self._submit(piece)

    def make(self, piece: Piece, folder: Path, on_done: Callable[[int], object]) -> None:
        """Raises: JobFailed, JobStopped; what the server refuses."""
        job = self._job(piece, folder)
        if job.is_done and job.state != "succeeded":  # it was stopped, or failed, while nobody waited for it
            _patiently(lambda: job.download_finished(folder))
            if (folder / "provenance.json").is_file():
                return
            job.remove()
            job = self._jobs[piece.key] = self._submit(piece)
        job.wait(on_look=lambda record: on_done(int((record.get("progress") or {}).get("done", 0))))
        if job.state != "succeeded":
            raise JobStopped(f"job {job.id} was {job.state}; the same command goes on")
        _patiently(lambda: job.download_finished(folder))

    def forget(self, piece: Piece) -> None:
        """Removes the job from the server, whose store is not to hold the data set a second time."""
        job = self._jobs.pop(piece.key, None)
        if job is not None:
            with suppress(ClientError):
                job.remove()

    def _job(self, piece: Piece, folder: Path) -> Job:
        """The folder is there before the job is: from then on its plan binds."""
        folder.mkdir(parents=True, exist_ok=True)
        try:
            if piece.key not in self._jobs:
                self._jobs[piece.key] = _patiently(lambda: self._submit(piece))
        except HttpProblem:
            with suppress(OSError):
                folder.rmdir()
            raise
        return self._jobs[piece.key].refresh()

    def _submit(self, piece: Piece) -> Job:
        return self._server.submit("generate", piece.body, idempotency_key=piece.key)


def _patiently(call: Callable[[], T]) -> T:
    """Bears a server that is being restarted, as Job.wait does."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except (ServerUnreachable, ServiceUnavailable):
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
