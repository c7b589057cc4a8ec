"""What RQ calls: claim a delivery, do its work, publish. The one broad `except` of the project. No torch here."""

import errno
import json
import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from jobs.errors import (
    InternalFailure,
    JobCanceled,
    JobHandedBack,
    LeaseLost,
    OutOfMemory,
    QueueUnavailable,
    StoreFull,
    StoreUnavailable,
    UnknownResult,
    VoxelsmithError,
)
from jobs.logs import JOB
from jobs.queue import JobQueue
from jobs.record import Claim
from jobs.state import JobError, JobKind, JobState, Manifest, ResultFile
from workers.pulse import Lease, Pulse

EXIT_DEVICE_LOST = 71
"""The device's context is beyond repair; only a new process gets a working one."""
_PROGRESS_S = 0.2
"""Progress within a stage is told at most this often."""
_PUBLISH_PATIENCE_S = 60.0
_STORE_PATIENCE_S = 60.0
_STORE_RETRY_S = 1.0
log = logging.getLogger("voxelsmith.worker")
T = TypeVar("T")


class DeviceLost(Exception):  # noqa: N818 -- an outcome: raised by the work, ends the process
    """The device answers nothing any more (a sticky CUDA error)."""


class QueueSink:
    """Where a job's work tells its progress and leaves its files; the way it hears that it should stop."""

    def __init__(self, queue: JobQueue, lease: Lease, pulse: Pulse) -> None:
        self._queue, self._lease, self._pulse = queue, lease, pulse
        self._id, self._delivery = lease.claim.id, lease.claim.delivery
        self._kept: dict[str, ResultFile] = {}
        self._told: tuple[str, float] = ("", 0.0)
        self._in_hand: int | None = None
        self.store_s = 0.0
        """Spent on putting files into the store; most of it while the next volume is made."""

    def stage(self, name: str, done: int, total: int) -> None:
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
            if self._queue.records.progress(self._id, self._delivery, name, done, total):
                raise JobCanceled
        except QueueUnavailable:
            log.warning("the queue does not answer; the work goes on")

    def keep(self, path: Path, entry: ResultFile) -> ResultFile:
        """Stores a finished file durably and publishes it; the entry with its size, digest and address filled in.

        Raises: LeaseLost, QuotaExceeded, StoreFull, StoreUnavailable.
        """
        self._reserve(path.stat().st_size)
        began = time.monotonic()
        size, sha256 = self.waiting_out(
            lambda: self._queue.results.write_result(self._id, entry, path, check=self._renew)
        )
        self.store_s += time.monotonic() - began
        stored = entry.model_copy(
            update={"size_bytes": size, "sha256": sha256, "url": f"/jobs/{self._id}/results/{entry.name}"}
        )
        self._kept[stored.name] = stored
        is_result = stored.shape is not None
        try:
            self._queue.records.keep(self._id, self._delivery, self.manifest(), stored if is_result else None)
        except QueueUnavailable:
            log.warning("the queue does not answer; the work goes on")
        return stored

    def waiting_out(self, step: Callable[[], T]) -> T:
        """The step's result, tried again while a store across a network is away: the job's work is not thrown away for
        a minute without it. Raises: StoreUnavailable after that; JobCanceled, LeaseLost.
        """
        patience = time.monotonic() + (_STORE_PATIENCE_S if self._queue.results.is_remote else 0.0)
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
        )

    def _check(self) -> None:
        if self._lease.is_lost.is_set():
            raise LeaseLost
        if self._lease.is_canceled.is_set():
            raise JobCanceled

    def _reserve(self, size_bytes: int) -> None:
        """Room for one more file within the limit of the job's key, before a byte of it is stored."""
        try:
            self._queue.records.reserve(self._id, self._delivery, self.manifest().size_bytes + size_bytes)
        except QueueUnavailable:
            log.warning("the queue does not answer; the work goes on")

    def _renew(self) -> None:
        """Between the last byte and the rename: a worker that was frozen past its lease must not replace a file."""
        try:
            self._queue.records.renew(self._id, self._delivery, commits=True)
        except QueueUnavailable:
            log.warning("the queue does not answer; the work goes on")


class Work(Protocol):
    """What a worker can do; knows no queue."""

    def __call__(self, kind: JobKind, payload: dict[str, Any], scan: Path | None, sink: QueueSink) -> Manifest:
        """Does one job. Raises: VoxelsmithError, DeviceLost, and what the sink raises."""

    def about(self) -> dict[str, Any]:
        """What the worker should say of itself: resident models and the like."""


class Tasks:
    """The jobs of one worker process, one at a time."""

    def __init__(self, queue: JobQueue, pulse: Pulse, work: Work, worker: str) -> None:
        self._queue, self._pulse, self._work, self._worker = queue, pulse, work, worker

    def run(self, job_id: str, delivery: int) -> None:
        """Does one delivery. One that is not due (any more) is left alone."""
        JOB.set(job_id)
        try:
            self._deliver(job_id, delivery)
        finally:
            JOB.set("")

    def _deliver(self, job_id: str, delivery: int) -> None:
        about = self._pulse.about
        handed, host = (job_id, delivery), str(about.get("host", ""))
        turn = self._queue.turns.choose(handed, self._worker, host, about.get("models", ()))
        if turn == "later":
            self._pulse.is_draining = True
            log.info("this worker is drained; job %s waits for another", job_id)
            return
        JOB.set(turn[0])
        try:
            claim = self._queue.records.claim(*turn, self._worker)
        except LeaseLost:
            log.info("job %s: delivery %s is not due", *turn)
            return
        self._queue.turns.taken(handed, turn)
        log.info("job %s: %s with %s, delivery %s", claim.id, claim.kind, claim.model, claim.delivery)
        with self._pulse.holding(claim) as lease:
            self._attempt(claim, QueueSink(self._queue, lease, self._pulse))
        self._pulse.about |= self._work.about()

    def _attempt(self, claim: Claim, sink: QueueSink) -> None:
        """One try at the work; every way in which it can end, and what becomes of the job then."""
        try:
            manifest = self._finished_before(claim) or self._do(claim, sink)
        except LeaseLost:
            log.warning("job %s went to another worker", claim.id)
        except JobHandedBack:
            self._hand_back(claim)
        except DeviceLost:
            log.exception("job %s lost the device: ending the process", claim.id)
            self._pulse.abandon(EXIT_DEVICE_LOST, crashed=True)
        except JobCanceled:
            self._publish(claim, JobState.CANCELED, sink.manifest())
        except Exception as err:
            self._publish(claim, JobState.FAILED, sink.manifest(), _told(err, claim))
        else:
            self._publish(claim, JobState.SUCCEEDED, manifest)

    def _do(self, claim: Claim, sink: QueueSink) -> Manifest:
        began = time.monotonic()
        payload = dict(claim.payload)
        upload = payload.pop("upload", None)
        with ExitStack() as stack:
            read = self._queue.results.read_path
            scan = sink.waiting_out(lambda: stack.enter_context(read(upload))) if upload else None
            manifest = self._work(claim.kind, payload, scan, sink)
        waited_s = (claim.started_at - claim.created_at).total_seconds()
        spent = {"queued": waited_s, "store": sink.store_s, "total": time.monotonic() - began}
        timings = manifest.timings_s | {name: round(seconds, 3) for name, seconds in spent.items()}
        manifest = manifest.model_copy(update={"timings_s": timings})
        sink.waiting_out(lambda: self._store_manifest(claim, manifest))
        return manifest

    def _store_manifest(self, claim: Claim, manifest: Manifest) -> None:
        """For a rerun: everything is made and stored, only the record does not know yet."""
        body = {"digest": claim.digest, "model_sha256": claim.model_sha256, "manifest": manifest.model_dump()}
        with tempfile.TemporaryDirectory(prefix="voxelsmith-") as folder:
            path = Path(folder) / "manifest.json"
            path.write_text(json.dumps(body))
            self._queue.results.write(f"results/{claim.id}/manifest.json", path)

    def _finished_before(self, claim: Claim) -> Manifest | None:
        """The complete manifest of an earlier attempt that died before it could publish, its files being there."""
        try:
            body = json.loads(b"".join(self._queue.results.open(f"results/{claim.id}/manifest.json")))
            if body["digest"] != claim.digest or body["model_sha256"] != claim.model_sha256:
                return None
            manifest = Manifest.model_validate(body["manifest"])
            for entry in (*manifest.results, *manifest.files):
                key = self._queue.results.result_key(claim.id, entry.name, entry.sha256)
                if not self._queue.results.verify(key, entry.sha256):
                    return None
        except (UnknownResult, StoreUnavailable, ValueError, KeyError, TypeError, ValidationError):
            return None
        log.info("job %s was finished by an earlier attempt", claim.id)
        return manifest

    def _hand_back(self, claim: Claim) -> None:
        try:
            self._queue.hand_back(claim.id, claim.delivery)
            log.info("job %s handed back", claim.id)
        except (LeaseLost, QueueUnavailable):
            log.warning("job %s could not be handed back; its lease will run out", claim.id)

    def _publish(
        self, claim: Claim, state: JobState, manifest: Manifest | None = None, error: JobError | None = None
    ) -> None:
        """Makes the job final, waiting out a short absence of the queue; after a long one the reaper will see to it."""
        patience = time.monotonic() + _PUBLISH_PATIENCE_S
        while True:
            try:
                self._queue.records.finish(claim.id, claim.delivery, state, manifest, error)
                log.info("job %s: %s%s", claim.id, state.value, f", {error.code}" if error else "")
                break
            except LeaseLost:
                log.warning("job %s went to another worker", claim.id)
                return
            except QueueUnavailable:
                if time.monotonic() > patience:
                    log.error("job %s could not be published", claim.id)
                    return
                time.sleep(0.5)
        try:
            self._queue.results.remove_prefix(f"uploads/{claim.id}")
        except StoreUnavailable:
            log.warning("job %s: its upload stays until the job expires", claim.id)


def _told(err: Exception, claim: Claim) -> JobError:
    """What the user hears of a failure. One that nobody foresaw is for the log alone."""
    if isinstance(err, VoxelsmithError):
        return JobError(code=err.code, detail=err.detail)
    if isinstance(err, MemoryError):
        return JobError(code=OutOfMemory.code, detail="The worker has too little memory for this job.")
    if isinstance(err, OSError) and err.errno in (errno.ENOSPC, errno.EDQUOT):
        log.error("job %s: the disk for temporary files is full", claim.id)
        return JobError(code=StoreFull.code, detail="The worker has no room for its files.")
    log.error("job %s failed", claim.id, exc_info=err)
    return JobError(code=InternalFailure.code, detail="Something went wrong in the worker; its log says what.")
