"""JobQueue: the client's side of the jobs. The record is the truth, RQ carries, the store holds the files."""

import json
import time
from contextlib import suppress
from typing import Any, cast

from redis import Redis

from contract.errors import IdempotencyConflict, QueueFull, QueueUnavailable, ResultNotReady, VoxelsmithError
from contract.state import JobPage, JobRecord, JobState
from contract.webhooks import receiver_of
from jobs.connection import is_in_log
from jobs.event_relay import Relay
from jobs.events import EventLog
from jobs.pages import Filter, page
from jobs.quota import NOBODY, refusal
from jobs.record import RECORD_VERSION, Records
from jobs.results.store import ResultStore
from jobs.scheduling import head_start_us
from jobs.scripts import Scripts, answering
from jobs.settings import Settings
from jobs.shared_bodies import Body
from jobs.submission import Submission
from jobs.transport import Transport
from jobs.webhooks.due import RECHECK_S
from jobs.webhooks.signing import new_secret

MAX_PAGE = 200
_LOG_TIMEOUT_MS = 4000
"""For the append-only file to take a submit; below the client's socket timeout."""


class JobQueue:
    """Safe to use from many threads. Every method raises QueueUnavailable when the server does not answer."""

    def __init__(self, redis: Redis, settings: Settings, results: ResultStore | None = None) -> None:
        self.redis = redis
        self.settings = settings
        self.results = results or ResultStore(settings.store_url)
        self._scripts = Scripts(redis, settings)
        self._records = Records(self._scripts)
        self._transport = Transport(redis, settings)
        self.events = EventLog(self._scripts)
        self.relay = Relay(self._records, self.events)

    def submit(self, job: Submission) -> JobRecord:
        """Queues a job and returns once it is in the server's log on disk.

        Raises: IdempotencyConflict, QueueFull, QuotaExceeded, QueueUnavailable (then the job is withdrawn, unless the
        server does not answer, the job has begun, or another submit with its idempotency key was told of it).
        """
        try:
            made = self._write(job)
            if made != job.job_id:
                return self._told(made)
            self._transport.push(job.job_id, 1)
            self._await_log(job.job_id)
            return self._records.get(job.job_id)
        except QueueUnavailable:
            self._withdraw(job.job_id)
            raise

    def made_before(self, idempotency_key: str, digest: str, owner: str = NOBODY) -> JobRecord | None:
        """The job that an owner's idempotency key already made, once it is in the log on disk; None where it made none.

        Raises: IdempotencyConflict where the key was used for another body.
        """
        key = self._scripts.key
        with answering():
            fields = self.redis.hmget(key("idem", _scoped(idempotency_key, owner)), ("id", "digest"))
            job_id, known = cast("list[bytes | None]", fields)
        if job_id is None or known is None or not self._records.exists(job_id.decode()):
            return None
        if known.decode() != digest:
            raise _conflict()
        return self._told(job_id.decode())

    def get(self, job_id: str, owner: str | None = None) -> JobRecord:
        """`owner`: of that owner's jobs alone. Raises: UnknownJob, ExpiredJob, UnreadableRecord."""
        return self._records.get(job_id, owner)

    def document(self, job_id: str, owner: str | None = None) -> Body:
        """The record as JSON. Raises: as `get`."""
        return self._records.document(job_id, owner)

    def list(
        self,
        state: JobState | str | None = None,
        kind: str | None = None,
        model: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        owner: str | None = None,
    ) -> JobPage:
        """A page of all jobs or of one owner's, newest first. Raises: InvalidRequest for a cursor that no page gave."""
        wanted = Filter(state, kind, model)
        return page(self._scripts, self._records, wanted, max(1, min(limit, MAX_PAGE)), cursor, owner)

    def cancel(self, job_id: str) -> JobRecord:
        """Ends a queued job at once, asks a running one to stop, leaves a final one. Raises: UnknownJob, ExpiredJob."""
        state = self._scripts.call("cancel", job_id, self._scripts.life_us).decode()
        if not state:
            self._records.raise_missing(job_id)
        if state == JobState.QUEUED:
            for delivery in self._transport.waiting().get(job_id, ()):
                self._transport.forget(job_id, delivery)
            self.results.drop(job_id, "uploads")
        return self._records.get(job_id)

    def remove(self, job_id: str) -> None:
        """Removes a job that has ended, with its files. Raises: UnknownJob, ExpiredJob, ResultNotReady (not ended)."""
        if not self._records.exists(job_id):
            self._records.raise_missing(job_id)
        if self._scripts.call("remove", job_id) != b"gone":
            raise ResultNotReady("The job has not ended yet; cancel it first.")
        self.results.drop(job_id, "results", "uploads")

    def wait(self, job_id: str, timeout_s: float) -> JobRecord:
        """The record once the job has ended or `timeout_s` has passed. Raises: UnknownJob, ExpiredJob."""
        deadline = time.monotonic() + timeout_s
        last = self.events.last_id(job_id)
        record = self._records.get(job_id)
        while not record.state.is_terminal and (left := deadline - time.monotonic()) > 0:
            events = self.events.read({job_id: last}, left).get(job_id, [])
            last = events[-1].id if events else last
            if not events or events[-1].type == "end":
                record = self._records.get(job_id)
        return record

    def stored_bytes(self, owner: str) -> int:
        """What an owner's jobs have in the store, reservations included."""
        with answering():
            return int(cast("Any", self.redis.hget(self._scripts.key("stored"), owner)) or 0)

    def _write(self, job: Submission) -> str:
        """Writes the record of a new job (delivery 1); its id, or that of the job its idempotency key already made.

        Raises: IdempotencyConflict, QueueFull, QuotaExceeded.
        """
        settings, charge = self.settings, job.charge
        name = _scoped(job.idempotency_key, charge.owner) if job.idempotency_key else ""
        bodies = (json.dumps(job.request, allow_nan=False), json.dumps(job.payload, allow_nan=False))
        fields = (job.job_id, job.kind, job.model, job.model_sha256, *bodies, job.digest, name, settings.queue_limit)
        claims = (charge.owner, charge.samples, charge.uploaded_bytes)
        limits = (settings.key_max_jobs, settings.key_max_samples, settings.key_max_bytes)
        order = (job.priority, head_start_us(job.priority))
        limits_of_memory = (RECORD_VERSION, settings.key_max_memory_bytes)
        hook = (job.webhook or "", _origin(job.webhook), settings.key_max_webhooks, new_secret(), int(RECHECK_S * 1e6))
        answers = self._scripts.call("submit", *fields, *claims, *limits, *order, job.volumes, *limits_of_memory, *hook)
        answer, known = (part.decode() for part in answers)
        if answer == "conflict":
            raise _conflict()
        if answer == "full":
            raise QueueFull("The queue is full; try again later.")
        if answer != "accepted":
            raise refusal(answer, settings)
        return str(known)

    def _told(self, job_id: str) -> JobRecord:
        """The job of another post, for a client that will count on it from now on."""
        self._await_log(job_id, is_mine=False)
        return self._records.get(job_id)

    def _withdraw(self, job_id: str) -> None:
        """Takes back a job whose submit failed and is about to be answered with an error. It stays where it has begun
        or is another post's too."""
        with suppress(VoxelsmithError):
            if self._scripts.call("withdraw", job_id):
                self._transport.forget(job_id, 1)

    def _await_log(self, job_id: str, *, is_mine: bool = True) -> None:
        """Returns once the record is in the append-only file on disk. Raises: QueueUnavailable."""
        pipe: Any = self.redis.pipeline(transaction=False)
        self._scripts.call("confirm", job_id, int(not is_mine), client=pipe)
        pipe.execute_command("WAITAOF", 1, 0, _LOG_TIMEOUT_MS)
        with answering():
            exists, logged = pipe.execute(raise_on_error=False)
        if isinstance(exists, Exception) or not exists or not is_in_log(logged, self.redis, self.settings):
            raise QueueUnavailable("The queue could not store the job; try again shortly.")


def _conflict() -> IdempotencyConflict:
    return IdempotencyConflict("This Idempotency-Key was used for a request with another body.")


def _origin(webhook: str | None) -> str:
    return receiver_of(webhook).origin if webhook else ""


def _scoped(idem: str, owner: str) -> str:
    """An idempotency key is its owner's own: two owners may use the same."""
    return f"{owner}:{idem}"
