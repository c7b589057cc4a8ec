"""Deliveries: the worker's side of the jobs. A job is taken for a lease, renewed, told of, and ended or handed back."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from redis import Redis

from contract.errors import LeaseLost
from contract.state import JobError, JobKind, JobState, Manifest, ResultFile
from jobs.counts import STAGES
from jobs.quota import refusal
from jobs.record import RECORD_VERSION, time_of
from jobs.results.store import ResultStore
from jobs.scheduling import LOOK_AHEAD, Turn
from jobs.scripts import Scripts, answering, is_stopped
from jobs.settings import Settings
from jobs.transport import Transport

WORKER_LOST = JobError(code="worker_lost", detail="The job was given up because it lost its worker too often.")
MAX_EVENT_BYTES = 4096
_NAMES = ("kind", "model", "model_sha256", "digest", "payload", "created", "started")


@dataclass(frozen=True)
class Claim:
    """What a worker holds while a job is its own."""

    id: str
    delivery: int
    kind: JobKind
    model: str
    model_sha256: str
    digest: str
    payload: dict[str, Any]
    created_at: datetime
    started_at: datetime
    so_far: Manifest
    """What earlier attempts have published."""


class Deliveries:
    """Every method raises QueueUnavailable when the server does not answer."""

    def __init__(self, redis: Redis, settings: Settings, results: ResultStore | None = None) -> None:
        self.redis = redis
        self.settings = settings
        self.results = results or ResultStore(settings.store_url)
        self._scripts = Scripts(redis, settings)
        self._transport = Transport(redis, settings)

    def choose(self, handed: Turn, worker: str, host: str, models: Iterable[str]) -> Turn | Literal["later"]:
        """What a worker that was handed a message should claim: the job whose turn it is, or one further back whose
        model the worker holds. "later": the worker is to take none; the job waits for another.

        A job that is passed over gets a new message, so that there is always one for each queued job.
        """
        job_id, delivery = handed
        patience_us = int(self.settings.model_patience_s * 1e6)
        fields = (job_id, delivery, worker, host, patience_us, LOOK_AHEAD)
        chosen, chosen_delivery, following = self._scripts.call("choose", *fields, *models)
        if following:
            self._transport.push(job_id, int(following), front=True)
        return (chosen.decode(), int(chosen_delivery)) if chosen else "later"

    def claim(self, job_id: str, delivery: int, worker: str) -> Claim:
        """Takes the job for a worker for one lease.

        Raises: LeaseLost where that delivery is not (or no longer) due, or the record is of a later version.
        """
        if not self._scripts.call("claim", job_id, delivery, worker, self._scripts.lease_us, RECORD_VERSION):
            raise LeaseLost
        with answering():
            fields = self.redis.hmget(self._scripts.key("job", job_id), (*_NAMES, "manifest"))
        *values, so_far = cast("list[bytes | None]", fields)
        if None in values:
            raise LeaseLost
        field = dict(zip(_NAMES, (value.decode() for value in values if value is not None), strict=True))
        return Claim(
            id=job_id,
            delivery=delivery,
            kind=cast("JobKind", field["kind"]),
            model=field["model"],
            model_sha256=field["model_sha256"],
            digest=field["digest"],
            payload=json.loads(field["payload"]),
            created_at=time_of(field["created"]),
            started_at=time_of(field["started"]),
            so_far=Manifest.model_validate_json(so_far) if so_far else Manifest(),
        )

    def taken(self, handed: Turn, turn: Turn) -> None:
        """Call it once the turn is claimed: its own message has nothing to tell any more."""
        if turn != handed:
            self._transport.withdraw(*turn)

    def renew(self, job_id: str, delivery: int, *, commits: bool = False) -> bool:
        """Extends the lease; true where the user wants the job stopped. Raises: LeaseLost.

        `commits`: a file is about to be put in place; a refusal counts as a fenced commit.
        """
        return self._scripts.call_held("renew", job_id, delivery, self._scripts.lease_us, int(commits))

    def progress(
        self, job_id: str, delivery: int, stage: str, done: int, total: int, left_s: float | None = None
    ) -> bool:
        """Notes where the job stands, and how long it may still take where that is known; true where the user wants it
        stopped. Raises: LeaseLost."""
        left = "" if left_s is None else f"{left_s:.0f}"
        return self._scripts.call_held("progress", job_id, delivery, stage, done, total, left)

    def keep(self, job_id: str, delivery: int, so_far: Manifest, new: ResultFile | None) -> bool:
        """Publishes the files stored so far; true where the user wants the job stopped. Raises: LeaseLost."""
        event = _told(new) if new else ""
        return self._scripts.call_held("keep", job_id, delivery, so_far.model_dump_json(), event, so_far.size_bytes)

    def reserve(self, job_id: str, delivery: int, size_bytes: int) -> bool:
        """Counts bytes that an attempt is about to have in the store, all its files together, as its key's.

        True where the user wants the job stopped. Raises: LeaseLost, QuotaExceeded where the key has no room for them.
        """
        limits = (self.settings.key_max_bytes, self.settings.key_max_memory_bytes)
        answer = self._scripts.call("reserve", job_id, delivery, size_bytes, *limits)
        if answer in (b"over", b"memory"):
            raise refusal("bytes" if answer == b"over" else "memory", self.settings)
        return is_stopped(answer)

    def hand_back(self, job_id: str, delivery: int, *, crashed: bool = False) -> int:
        """Returns the job to the queue, to be run next; the new delivery, or 0 where it ended instead.

        `crashed`: the worker is about to leave because of this job, so that it counts against the crash limit.
        Raises: LeaseLost.
        """
        limit, error = self.settings.max_crashes, WORKER_LOST.model_dump_json()
        life_us = self._scripts.life_us
        following = int(self._scripts.call("hand_back", job_id, delivery, int(crashed), limit, life_us, error))
        if following < 0:
            raise LeaseLost
        if following:
            self._transport.push(job_id, following, front=True)
        else:
            self.results.drop(job_id, "uploads")
        return following

    def finish(
        self,
        job_id: str,
        delivery: int,
        state: JobState,
        manifest: Manifest | None = None,
        error: JobError | None = None,
    ) -> None:
        """Makes the job final. Without a manifest it keeps the files published so far.

        Raises: LeaseLost where the lease ran out or the job is not this delivery's; nothing has changed then.
        """
        manifest_json = manifest.model_dump_json() if manifest else ""
        error_json = error.model_dump_json() if error else ""
        size_bytes = manifest.size_bytes if manifest else 0
        timings_s = manifest.timings_s if manifest else {}
        spent = json.dumps({stage: timings_s[stage] for stage in STAGES if stage in timings_s})
        fields = (state.value, manifest_json, error_json, self._scripts.life_us, size_bytes, spent)
        if not self._scripts.call("finish", job_id, delivery, *fields):
            raise LeaseLost

    def give_up(self, job_id: str, delivery: int, error: JobError) -> None:
        """Fails a job whose worker cannot end it in order. Raises: LeaseLost."""
        self.finish(job_id, delivery, JobState.FAILED, error=error)
        self.results.drop(job_id, "uploads")

    def beat(self, worker: str, about: dict[str, Any]) -> bool:
        """A worker's sign of life, with what it says of itself; true where it is to take no more jobs."""
        life_s = max(60, int(2 * self.settings.lease_s))
        host = str(about.get("host", ""))
        return bool(self._scripts.call("beat", worker, json.dumps(about), life_s, host))

    def retire(self, worker: str) -> None:
        """A worker leaves in order."""
        self._scripts.call("beat", worker, "", 0, "")


def _told(result: ResultFile) -> str:
    """A result as its event tells it: a large latent is in the record alone, for the queue keeps both in memory."""
    text = result.model_dump_json()
    return text if len(text) <= MAX_EVENT_BYTES else result.model_copy(update={"latent": None}).model_dump_json()
