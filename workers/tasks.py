"""What RQ calls: claim a delivery, do its work, publish. Whatever a job dies of is told here. No torch here."""

import errno
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from contract.errors import (
    InternalFailure,
    JobCanceled,
    JobFailure,
    JobHandedBack,
    LeaseLost,
    OutOfMemory,
    QueueUnavailable,
    StoreFull,
    StoreUnavailable,
    UnknownResult,
    UnreadableVolume,
    VoxelsmithError,
)
from contract.state import JobError, JobKind, JobState, Manifest
from jobs.deliveries import Claim, Deliveries
from jobs.logs import JOB
from jobs.results.bucket import digest_of
from workers.heartbeat import Pulse
from workers.writing.queue_sink import QueueSink, is_whole

EXIT_DEVICE_LOST = 71
"""The device's context is beyond repair; only a new process gets a working one."""
_PUBLISH_PATIENCE_S = 60.0
log = logging.getLogger("voxelsmith.worker")


class DeviceLost(Exception):  # noqa: N818 -- an outcome: raised by the work, ends the process
    """The device answers nothing any more (a sticky CUDA error)."""


class Work(Protocol):
    """What a worker can do; knows no queue."""

    def __call__(
        self, kind: JobKind, payload: dict[str, Any], scan: Path | None, sink: QueueSink, mask: Path | None = None
    ) -> Manifest:
        """Does one job. Raises: VoxelsmithError, DeviceLost, and what the sink raises."""

    def about(self) -> dict[str, Any]:
        """What the worker should say of itself: resident models and the like."""


class Tasks:
    """The jobs of one worker process, one at a time."""

    def __init__(self, deliveries: Deliveries, pulse: Pulse, work: Work, worker: str) -> None:
        self._deliveries, self._pulse, self._work, self._worker = deliveries, pulse, work, worker

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
        turn = self._deliveries.choose(handed, self._worker, host, about.get("models", ()))
        if turn == "later":
            self._pulse.is_draining = True
            log.info("this worker is drained; job %s waits for another", job_id)
            return
        JOB.set(turn[0])
        try:
            claim = self._deliveries.claim(*turn, self._worker)
        except LeaseLost:
            log.info("job %s: delivery %s is not due", *turn)
            return
        self._deliveries.taken(handed, turn)
        log.info("job %s: %s with %s, delivery %s", claim.id, claim.kind, claim.model, claim.delivery)
        with self._pulse.holding(claim) as lease:
            self._attempt(claim, QueueSink(self._deliveries, lease, self._pulse))
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
            self._publish(claim, JobState.CANCELED, sink.kept_so_far())
        except Exception as err:
            self._publish(claim, JobState.FAILED, sink.kept_so_far(), _told(err, claim))
        else:
            self._publish(claim, JobState.SUCCEEDED, manifest)

    def _do(self, claim: Claim, sink: QueueSink) -> Manifest:
        began = time.monotonic()
        # A host that clears old folders out of its /tmp may have taken an idle worker's.
        Path(tempfile.gettempdir()).mkdir(mode=0o700, parents=True, exist_ok=True)
        payload = dict(sink.waiting_out(lambda: self._payload(claim)))
        upload, beside = payload.pop("upload", None), payload.pop("mask", None)
        with ExitStack() as stack:
            scan = sink.waiting_out(lambda: stack.enter_context(self._stored(**upload))) if upload else None
            mask = sink.waiting_out(lambda: stack.enter_context(self._stored(**beside))) if beside else None
            manifest = self._work(claim.kind, payload, scan, sink, mask)
        waited_s = (claim.started_at - claim.created_at).total_seconds()
        spent = {"queued": waited_s, "store": sink.store_s, "total": time.monotonic() - began}
        timings = manifest.timings_s | {name: round(seconds, 3) for name, seconds in spent.items()}
        manifest = manifest.model_copy(update={"timings_s": timings})
        sink.waiting_out(lambda: self._store_manifest(claim, manifest))
        return manifest

    def _payload(self, claim: Claim) -> dict[str, Any]:
        """What is to be run; a large one lies in the store. Raises: JobFailure where it is not the one accepted."""
        stored = claim.payload.get("stored")
        if stored is None:
            return claim.payload
        try:
            body = b"".join(self._deliveries.results.open(stored["key"]))
        except UnknownResult:
            body = b""
        if hashlib.sha256(body).hexdigest() != stored["sha256"]:
            raise JobFailure("The stored request does not have its SHA-256 any more; post it again.")
        payload: dict[str, Any] = json.loads(body)
        return payload

    @contextmanager
    def _stored(self, key: str, sha256: str) -> Iterator[Path]:
        """A stored scan or mask as a local file. Raises: UnreadableVolume where it is not the one that was accepted."""
        with self._deliveries.results.read_path(key) as path:
            if digest_of(path)[1] != sha256:
                raise UnreadableVolume("The stored scan does not have its SHA-256 any more; post it again.")
            yield path

    def _store_manifest(self, claim: Claim, manifest: Manifest) -> None:
        """For a rerun: everything is made and stored, only the record does not know yet."""
        body = {"digest": claim.digest, "model_sha256": claim.model_sha256, "manifest": manifest.model_dump()}
        with tempfile.TemporaryDirectory(prefix="voxelsmith-") as folder:
            path = Path(folder) / "manifest.json"
            path.write_text(json.dumps(body))
            self._deliveries.results.write(f"results/{claim.id}/manifest.json", path)

    def _finished_before(self, claim: Claim) -> Manifest | None:
        """The complete manifest of an earlier attempt that died before it could publish, its files being there."""
        try:
            body = json.loads(b"".join(self._deliveries.results.open(f"results/{claim.id}/manifest.json")))
            if body["digest"] != claim.digest or body["model_sha256"] != claim.model_sha256:
                return None
            manifest = Manifest.model_validate(body["manifest"])
        except (UnknownResult, StoreUnavailable, ValueError, KeyError, TypeError, ValidationError):
            return None
        if not all(is_whole(self._deliveries.results, claim.id, file) for file in (*manifest.results, *manifest.files)):
            return None
        log.info("job %s was finished by an earlier attempt", claim.id)
        return manifest

    def _hand_back(self, claim: Claim) -> None:
        try:
            self._deliveries.hand_back(claim.id, claim.delivery)
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
                self._deliveries.finish(claim.id, claim.delivery, state, manifest, error)
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
            self._deliveries.results.remove_prefix(f"uploads/{claim.id}")
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
