"""JobQueue: what the service asks of the jobs. The record is the truth, RQ carries, the store holds the files."""

import json
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from contract.errors import LeaseLost, QueueUnavailable, ResultNotReady, StoreUnavailable, VoxelsmithError
from contract.state import JobError, JobPage, JobRecord, JobState, Priority
from jobs.connection import is_durable, is_in_log
from jobs.counts import Counts
from jobs.event_relay import Relay
from jobs.events import EventLog
from jobs.pages import Filter, page
from jobs.quota import NOBODY, Charge
from jobs.record import JobRecords, answering
from jobs.results.store import ResultStore
from jobs.scheduling import Turns, head_start_us
from jobs.settings import Settings
from jobs.transport import Transport

MAX_PAGE = 200
MISSING_PATIENCE_S = 30.0
"""A queued job that RQ does not list for this long is delivered anew."""
SWEEP_EVERY_S = 3600
_LOG_TIMEOUT_MS = 4000
"""For the append-only file to take a submit; below the client's socket timeout."""


@dataclass(frozen=True)
class Worker:
    """A live worker process."""

    name: str
    last_heartbeat: datetime
    about: dict[str, Any]
    """What it says of itself: device, pid, host, job, models, ..."""


class JobQueue:
    """Safe to use from many threads. Every method raises QueueUnavailable when the server does not answer."""

    def __init__(self, redis: Redis, settings: Settings, results: ResultStore | None = None) -> None:
        self.redis = redis
        self.settings = settings
        self.records = JobRecords(redis, settings)
        self.transport = Transport(redis, settings)
        self.turns = Turns(self.records, self.transport)
        self.events = EventLog(self.records)
        self.relay = Relay(self.records)
        self.results = results or ResultStore(settings.store_url)

    @staticmethod
    def new_id() -> str:
        """An id for a job about to be submitted, so that its upload can be stored first."""
        return uuid.uuid4().hex

    def submit(
        self,
        kind: str,
        model: str,
        model_sha256: str,
        request: dict[str, Any],
        payload: dict[str, Any],
        idempotency_key: str | None,
        digest: str,
        *,
        job_id: str | None = None,
        charge: Charge = Charge(),  # noqa: B008 -- frozen
        priority: Priority = "normal",
    ) -> JobRecord:
        """Queues a job and returns once it is in the server's log on disk.

        `request` is shown to the user, `payload` is what the worker runs, `digest` identifies the body for the
        idempotency key: the same key with the same digest returns the job it already made.
        `charge`: whose job it is and what it takes of the owner's limits.
        Raises: IdempotencyConflict, QueueFull, QuotaExceeded, QueueUnavailable (then the job is withdrawn, unless the
        server does not answer, the job has begun, or another submit with its idempotency key was told of it).
        """
        bodies = (json.dumps(request, allow_nan=False), json.dumps(payload, allow_nan=False))
        fields = (kind, model, model_sha256, *bodies, digest, idempotency_key or "")
        mine = job_id or self.new_id()
        try:
            made = self.records.submit(mine, *fields, charge, priority, head_start_us(priority))
            if made != mine:
                return self._told(made)
            self.transport.push(mine, 1)
            self._await_log(mine)
            return self.records.get(mine)
        except QueueUnavailable:
            self._withdraw(mine)
            raise

    def made_before(self, idempotency_key: str, digest: str, owner: str = NOBODY) -> JobRecord | None:
        """The job that an owner's idempotency key already made, once it is in the log on disk; None where it made none.

        Raises: IdempotencyConflict where the key was used for another body.
        """
        job_id = self.records.made_before(idempotency_key, digest, owner)
        return None if job_id is None else self._told(job_id)

    def get(self, job_id: str, owner: str | None = None) -> JobRecord:
        """`owner`: of that owner's jobs alone. Raises: UnknownJob, ExpiredJob."""
        return self.records.get(job_id, owner)

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
        return page(self.records, Filter(state, kind, model), max(1, min(limit, MAX_PAGE)), cursor, owner)

    def cancel(self, job_id: str) -> JobRecord:
        """Ends a queued job at once, asks a running one to stop, leaves a final one. Raises: UnknownJob, ExpiredJob."""
        if self.records.cancel(job_id) is JobState.QUEUED:
            for delivery in self.transport.waiting().get(job_id, ()):
                self.transport.forget(job_id, delivery)
            self._remove_files(job_id, "uploads")
        return self.records.get(job_id)

    def remove(self, job_id: str) -> None:
        """Removes a job that has ended, with its files. Raises: UnknownJob, ExpiredJob, ResultNotReady (not ended)."""
        self.records.get(job_id)
        if not self.records.remove(job_id):
            raise ResultNotReady("The job has not ended yet; cancel it first.")
        self._remove_files(job_id, "results", "uploads")

    def wait(self, job_id: str, timeout_s: float) -> JobRecord:
        """The record once the job has ended or `timeout_s` has passed. Raises: UnknownJob, ExpiredJob."""
        deadline = time.monotonic() + timeout_s
        last = self.events.last_id(job_id)
        record = self.records.get(job_id)
        while not record.state.is_terminal and (left := deadline - time.monotonic()) > 0:
            events = self.events.read({job_id: last}, left).get(job_id, [])
            last = events[-1].id if events else last
            if not events or events[-1].type == "end":
                record = self.records.get(job_id)
        return record

    def hand_back(self, job_id: str, delivery: int, *, crashed: bool = False) -> None:
        """A worker returns its job, to be run next. `crashed`: as of JobRecords.hand_back. Raises: LeaseLost."""
        following = self.records.hand_back(job_id, delivery, crashed=crashed)
        if following:
            self.transport.push(job_id, following, front=True)
        else:
            self._remove_files(job_id, "uploads")

    def give_up(self, job_id: str, delivery: int, error: JobError) -> None:
        """Fails a job whose worker cannot end it in order. Raises: LeaseLost."""
        self.records.finish(job_id, delivery, JobState.FAILED, error=error)
        self._remove_files(job_id, "uploads")

    def hand_back_all(self) -> int:
        """Returns every running job, without a crash; how many. For whoever knows that no worker is left."""
        with answering():
            running: Any = self.redis.zrange(self.records.key("leases"), 0, -1)
            deliveries = [self.redis.hget(self.records.key("job", name.decode()), "delivery") for name in running]
        count = 0
        for name, delivery in zip(running, deliveries, strict=True):
            with suppress(LeaseLost):
                self.hand_back(name.decode(), int(delivery or 0))
                count += 1
        return count

    def reap(self, patience_s: float = MISSING_PATIENCE_S) -> int:
        """Recovers what lost workers and lost messages left behind, and removes what has expired; how many jobs.

        Safe to run in any number of processes at once. `patience_s`: for a queued job that the transport does not list.
        """
        taken = self.records.reap()
        for job in taken:
            self.transport.forget(job.id, job.delivery)
            if job.following:
                self.transport.push(job.id, job.following, front=True)
            else:
                self._remove_files(job.id, "uploads")
        expired = self.records.expire()
        for job_id in expired:
            self._remove_files(job_id, "results", "uploads")
        return len(taken) + len(expired) + self._redeliver_missing(patience_s)

    def sweep(self) -> int:
        """Removes files of jobs that have no record, and temp files of dead processes; how many jobs' files.

        Only files older than any job's time to live: another queue may share the store, or this one's data be gone.
        To list a whole bucket costs time and money: of all processes one does it per hour.
        """
        if self.results.is_remote and not self._is_first_to_sweep():
            return 0
        min_age_s = max(3600.0, self.settings.result_ttl_s)
        return self.results.sweep(lambda job_id: self.records.get_many([job_id])[0] is not None, min_age_s)

    def _is_first_to_sweep(self) -> bool:
        with answering():
            return bool(self.redis.set(self.records.key("swept"), 1, nx=True, ex=SWEEP_EVERY_S - 60))

    def ping(self) -> bool:
        """Whether the server answers."""
        try:
            with answering():
                return bool(self.redis.ping())
        except QueueUnavailable:
            return False

    def durable(self) -> bool:
        """Whether an accepted job survives a restart of the server."""
        return is_durable(self.redis)

    def depth(self) -> tuple[int, int]:
        """How many jobs are queued and how many run."""
        with answering():
            pipe = self.redis.pipeline(transaction=False)
            pipe.zcard(self.records.key("queued"))
            pipe.zcard(self.records.key("leases"))
            queued, running = pipe.execute()
        return int(queued), int(running)

    def oldest_s(self) -> float:
        """For how long the job that is next has been there since it was accepted; 0 where none waits."""
        with answering():
            first: Any = self.redis.zrange(self.records.key("queued"), 0, 0)
            if not first:
                return 0.0
            created: Any = self.redis.hget(self.records.key("job", first[0].decode()), "created")
            seconds, micros = self.redis.time()
        return seconds + (micros - int(created)) / 1e6 if created else 0.0

    def counts(self) -> Counts:
        """What has happened to jobs since the server's log began."""
        with answering():
            fields: Any = self.redis.hgetall(self.records.key("counts"))
        return Counts(fields)

    def workers(self) -> Sequence[Worker]:
        """Workers that have shown a sign of life within the last lease."""
        with answering():
            seconds, micros = self.redis.time()
            oldest = seconds * 1_000_000 + micros - int(self.settings.lease_s * 1e6)
            names: Any = self.redis.zrangebyscore(self.records.key("workers"), oldest, "+inf")
            pipe = self.redis.pipeline(transaction=False)
            for name in names:
                pipe.hmget(self.records.key("worker", name.decode()), ("about", "beat"))
            answers = pipe.execute()
        return [
            Worker(name.decode(), datetime.fromtimestamp(int(beat) / 1e6, tz=UTC), json.loads(about))
            for name, (about, beat) in zip(names, answers, strict=True)
            if about
        ]

    def _told(self, job_id: str) -> JobRecord:
        """The job of another post, for a client that will count on it from now on."""
        self._await_log(job_id, is_mine=False)
        return self.records.get(job_id)

    def _withdraw(self, job_id: str) -> None:
        """Takes back a job that is about to be answered with an error, if that can be."""
        with suppress(VoxelsmithError):
            if self.records.withdraw(job_id):
                self.transport.forget(job_id, 1)

    def _await_log(self, job_id: str, *, is_mine: bool = True) -> None:
        """Returns once the record is in the append-only file on disk. Raises: QueueUnavailable."""
        pipe: Any = self.redis.pipeline(transaction=False)
        self.records.call("confirm", job_id, int(not is_mine), client=pipe)
        pipe.execute_command("WAITAOF", 1, 0, _LOG_TIMEOUT_MS)
        with answering():
            exists, logged = pipe.execute(raise_on_error=False)
        if isinstance(exists, Exception) or not exists or not is_in_log(logged, self.redis, self.settings):
            raise QueueUnavailable("The queue could not store the job; try again shortly.")

    def _redeliver_missing(self, patience_s: float) -> int:
        """Delivers anew what is queued but in no list of RQ: an API that died in mid-submit, a lost reply."""
        with answering():
            queued: Any = self.redis.zrange(self.records.key("queued"), 0, -1)
            waiting = self.transport.waiting()
            pipe = self.redis.pipeline(transaction=False)
            for job_id in queued:
                pipe.hget(self.records.key("job", job_id.decode()), "delivery")
            deliveries = pipe.execute()
        count = 0
        for job_id, delivery in zip((name.decode() for name in queued), deliveries, strict=True):
            if delivery is None or int(delivery) in waiting.get(job_id, ()):
                continue
            following = self.records.redeliver_missing(job_id, int(delivery), patience_s)
            if following:
                self.transport.forget(job_id, int(delivery))
                self.transport.push(job_id, following, front=True)
                count += 1
        return count

    def _remove_files(self, job_id: str, *tops: str) -> None:
        """Of a job whose record says that they are gone; where the store does not answer, the sweep will do it."""
        for top in tops:
            with suppress(StoreUnavailable):
                self.results.remove_prefix(f"{top}/{job_id}")
