"""QueueSink: a job's progress and files on their way from the work to the queue's record and the result store."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from contract.errors import JobCanceled, JobHandedBack, LeaseLost, QueueUnavailable, StoreUnavailable, UnknownResult
from contract.state import Manifest, ResultFile
from jobs.deliveries import Deliveries
from jobs.results.store import ResultStore
from workers.heartbeat import Lease, Pulse

_PROGRESS_S = 0.2
"""Progress within a stage is told at most this often."""
_STORE_PATIENCE_S = 60.0
_STORE_RETRY_S = 1.0
log = logging.getLogger("voxelsmith.worker")
T = TypeVar("T")


class QueueSink:
    """Where a job's work tells its progress and leaves its files; the way it hears that it should stop."""

    def __init__(self, deliveries: Deliveries, lease: Lease, pulse: Pulse) -> None:
        self._deliveries, self._lease, self._pulse = deliveries, lease, pulse
        self._id, self._delivery = lease.claim.id, lease.claim.delivery
        self._kept: dict[str, ResultFile] = {}
        self._replay_sha256 = ""
        self._told: tuple[str, float] = ("", 0.0)
        self._in_hand: int | None = None
        self.store_s = 0.0
        """Spent on putting files into the store; most of it while the next volume is made."""

    def stage(self, name: str, done: int, total: int, left_s: float | None = None) -> None:
        """`done` of `total` samples are finished and `name` begins. Raises: JobCanceled, LeaseLost, JobHandedBack."""
        self._check()
        if self._pulse.is_stopping and done < total and done != self._in_hand:
            raise JobHandedBack
        self._in_hand = done
        told, at = self._told
        now = time.monotonic()
        if name == told and now - at < _PROGRESS_S and done < total:
            return
        self._told = (name, now)
        try:
            if self._deliveries.progress(self._id, self._delivery, name, done, total, left_s):
                raise JobCanceled
        except QueueUnavailable:
            log.warning("the queue does not answer; the work goes on")

    def resume(self, replay_sha256: str, samples: Iterable[Sequence[str]]) -> list[list[ResultFile]]:
        """As of `Sink`. Raises: JobCanceled, LeaseLost."""
        self._replay_sha256 = replay_sha256
        so_far = self._lease.claim.so_far
        if so_far.replay_sha256 != replay_sha256:
            return []
        published = {entry.name: entry for entry in (*so_far.results, *so_far.files)}
        finished = []
        for names in samples:
            self._check()
            files = [published[name] for name in names if name in published]
            if len(files) < len(names) or not all(is_whole(self._deliveries.results, self._id, file) for file in files):
                break
            self._kept |= {file.name: file for file in files}
            finished.append(files)
        if finished:
            log.info("job %s: %d finished samples are there", self._id, len(finished))
        return finished

    def keep(self, path: Path, entry: ResultFile) -> ResultFile:
        """Stores a finished file durably and publishes it; the entry with its size, digest and address filled in.

        Raises: LeaseLost, QuotaExceeded, StoreFull, StoreUnavailable.
        """
        self._reserve(path.stat().st_size)
        began = time.monotonic()
        size, sha256 = self.waiting_out(
            lambda: self._deliveries.results.write_result(self._id, entry, path, check=self._renew)
        )
        self.store_s += time.monotonic() - began
        stored = entry.model_copy(
            update={"size_bytes": size, "sha256": sha256, "url": f"/jobs/{self._id}/results/{entry.name}"}
        )
        self._kept[stored.name] = stored
        is_result = stored.shape is not None
        try:
            self._deliveries.keep(self._id, self._delivery, self.manifest(), stored if is_result else None)
        except QueueUnavailable:
            log.warning("the queue does not answer; the work goes on")
        return stored

    def waiting_out(self, step: Callable[[], T]) -> T:
        """The step's result, tried again while a store across a network is away: the job's work is not thrown away for
        a minute without it. Raises: StoreUnavailable after that; JobCanceled, LeaseLost.
        """
        patience = time.monotonic() + (_STORE_PATIENCE_S if self._deliveries.results.is_remote else 0.0)
        while True:
            try:
                return step()
            except StoreUnavailable:
                if time.monotonic() > patience:
                    raise
                log.warning("the store does not answer; trying again")
            self._lease.is_canceled.wait(_STORE_RETRY_S)
            self._check()

    def manifest(self) -> Manifest:
        """What has been kept so far: volumes are results, everything else goes with them."""
        kept = sorted(self._kept.values(), key=lambda entry: entry.index)
        return Manifest(
            results=[entry for entry in kept if entry.shape is not None],
            files=[entry for entry in kept if entry.shape is None],
            replay_sha256=self._replay_sha256,
        )

    def kept_so_far(self) -> Manifest | None:
        """For a job that ends early; None leaves in the record what earlier attempts published."""
        return self.manifest() if self._kept else None

    def _check(self) -> None:
        if self._lease.is_lost.is_set():
            raise LeaseLost
        if self._lease.is_canceled.is_set():
            raise JobCanceled

    def _reserve(self, size_bytes: int) -> None:
        """Room for one more file within the limit of the job's key, before a byte of it is stored."""
        try:
            self._deliveries.reserve(self._id, self._delivery, self.manifest().size_bytes + size_bytes)
        except QueueUnavailable:
            log.warning("the queue does not answer; the work goes on")

    def _renew(self) -> None:
        """Between the last byte and the rename: a worker that was frozen past its lease must not replace a file."""
        try:
            self._deliveries.renew(self._id, self._delivery, commits=True)
        except QueueUnavailable:
            log.warning("the queue does not answer; the work goes on")


def is_whole(results: ResultStore, job_id: str, file: ResultFile) -> bool:
    """Whether the store has the very bytes that an earlier attempt put there."""
    try:
        return results.verify(results.result_key(job_id, file.name, file.sha256), file.sha256)
    except (UnknownResult, StoreUnavailable):
        return False
