"""The job record in Redis: the one truth about a job. Every write is a Lua script that is safe to repeat."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from contract.errors import (
    ExpiredJob,
    IdempotencyConflict,
    LeaseLost,
    QueueFull,
    QueueUnavailable,
    UnknownJob,
)
from contract.state import JobError, JobKind, JobRecord, JobState, Manifest, Priority, Progress, ResultFile
from jobs.counts import STAGES, bounds_in_lua
from jobs.quota import NOBODY, Charge, refusal
from jobs.settings import Settings

TOMBSTONE_S = 7 * 24 * 3600
"""How long an expired job answers "expired" instead of "unknown"."""
REAP_LIMIT = 100
"""Jobs that one run of the reaper handles at most per kind."""
WORKER_LOST = JobError(code="worker_lost", detail="The job was given up because it lost its worker too often.")

_SCRIPTS = (
    *("submit", "confirm", "claim", "renew", "progress", "reserve", "keep", "hand_back", "finish"),
    "choose",
    *("withdraw", "cancel", "remove", "reap", "redeliver_missing", "expire", "beat"),
)
_FIELDS = (
    *("id", "kind", "model", "model_sha256", "state", "stage", "done", "total", "created", "started", "ended"),
    *("expires", "attempts", "request", "manifest", "error", "priority", "owner"),
)


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


@dataclass(frozen=True)
class Redelivery:
    """A job that the reaper took from `delivery`; `following` is the new one, or 0 where the job ended instead."""

    id: str
    delivery: int
    following: int


@contextmanager
def answering() -> Iterator[None]:
    """Turns every failure of the Redis client into QueueUnavailable."""
    try:
        yield
    except RedisError as err:
        raise QueueUnavailable("The queue does not answer; try again shortly.") from err


class JobRecords:
    """The records under one key prefix. Times come from the server's clock alone."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.prefix = settings.queue_prefix
        self.settings = settings
        self._life_us = int(settings.result_ttl_s * 1e6)
        self._lease_us = int(settings.lease_s * 1e6)
        folder = files("jobs") / "scripts"
        prelude = bounds_in_lua() + (folder / "prelude.lua").read_text()
        self._scripts = {
            name: redis.register_script(prelude + (folder / f"{name}.lua").read_text()) for name in _SCRIPTS
        }

    def key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    def call(self, script: str, *args: str | int, client: Any = None) -> Any:
        """Runs a script. Raises QueueUnavailable."""
        with answering():
            return self._scripts[script](keys=[self.prefix], args=list(args), client=client)

    def submit(
        self,
        job_id: str,
        kind: str,
        model: str,
        model_sha256: str,
        request: str,
        payload: str,
        digest: str,
        idem: str,
        charge: Charge = Charge(),  # noqa: B008 -- frozen
        priority: Priority = "normal",
        head_start_us: int = 0,
    ) -> str:
        """Writes the record of a new job (delivery 1) and returns its id, or that of the job `idem` already made.

        Raises: IdempotencyConflict, QueueFull, QuotaExceeded, QueueUnavailable.
        """
        settings, name = self.settings, _scoped(idem, charge.owner) if idem else ""
        fields = (job_id, kind, model, model_sha256, request, payload, digest, name, settings.queue_limit)
        claims = (charge.owner, charge.samples, charge.uploaded_bytes)
        limits = (settings.key_max_jobs, settings.key_max_samples, settings.key_max_bytes)
        order = (priority, head_start_us)
        answer, known = (part.decode() for part in self.call("submit", *fields, *claims, *limits, *order))
        if answer == "conflict":
            raise _conflict()
        if answer == "full":
            raise QueueFull("The queue is full; try again later.")
        if answer != "accepted":
            raise refusal(answer, settings)
        return str(known)

    def made_before(self, idem: str, digest: str, owner: str = NOBODY) -> str | None:
        """Id of the job that an owner's idempotency key made and that is still there. Raises: IdempotencyConflict."""
        with answering():
            known_as = self.key("idem", _scoped(idem, owner))
            job_id, known = cast("list[Any]", self.redis.hmget(known_as, ("id", "digest")))
            if job_id is None or not self.redis.exists(self.key("job", job_id.decode())):
                return None
        if known.decode() != digest:
            raise _conflict()
        return str(job_id.decode())

    def withdraw(self, job_id: str) -> bool:
        """Takes back a job whose submit failed; false where it stays, having begun or being another post's too."""
        return bool(self.call("withdraw", job_id))

    def claim(self, job_id: str, delivery: int, worker: str) -> Claim:
        """Takes the job for a worker for one lease. Raises: LeaseLost where that delivery is not (or no longer) due."""
        if not self.call("claim", job_id, delivery, worker, self._lease_us):
            raise LeaseLost
        names = ("kind", "model", "model_sha256", "digest", "payload", "created", "started")
        with answering():
            *values, so_far = cast("list[Any]", self.redis.hmget(self.key("job", job_id), (*names, "manifest")))
        if None in values:
            raise LeaseLost
        kind, model, model_sha256, digest, payload, created, started = (value.decode() for value in values)
        return Claim(
            id=job_id,
            delivery=delivery,
            kind=kind,
            model=model,
            model_sha256=model_sha256,
            digest=digest,
            payload=json.loads(payload),
            created_at=_time(created),
            started_at=_time(started),
            so_far=Manifest.model_validate_json(so_far) if so_far else Manifest(),
        )

    def renew(self, job_id: str, delivery: int, *, commits: bool = False) -> bool:
        """Extends the lease; true where the user wants the job stopped. Raises: LeaseLost.

        `commits`: a file is about to be put in place; a refusal counts as a fenced commit.
        """
        return self._held(self.call("renew", job_id, delivery, self._lease_us, int(commits)))

    def progress(self, job_id: str, delivery: int, stage: str, done: int, total: int) -> bool:
        """Notes where the job stands; true where the user wants it stopped. Raises: LeaseLost."""
        return self._held(self.call("progress", job_id, delivery, stage, done, total))

    def keep(self, job_id: str, delivery: int, so_far: Manifest, new: ResultFile | None) -> bool:
        """Publishes the files stored so far; true where the user wants the job stopped. Raises: LeaseLost."""
        event = new.model_dump_json() if new else ""
        return self._held(self.call("keep", job_id, delivery, so_far.model_dump_json(), event, so_far.size_bytes))

    def reserve(self, job_id: str, delivery: int, size_bytes: int) -> bool:
        """Counts bytes that an attempt is about to have in the store, all its files together, as its key's.

        True where the user wants the job stopped. Raises: LeaseLost, QuotaExceeded where the key has no room for them.
        """
        answer = self.call("reserve", job_id, delivery, size_bytes, self.settings.key_max_bytes)
        if answer == b"over":
            raise refusal("bytes", self.settings)
        return self._held(answer)

    def hand_back(self, job_id: str, delivery: int, *, crashed: bool = False) -> int:
        """Returns the job to the queue; the new delivery, or 0 where it ended instead. Raises: LeaseLost.

        `crashed`: the worker is about to leave because of this job, so that it counts against the crash limit.
        """
        limit, error = self.settings.max_crashes, WORKER_LOST.model_dump_json()
        answer = self.call("hand_back", job_id, delivery, int(crashed), limit, self._life_us, error)
        if answer < 0:
            raise LeaseLost
        return int(answer)

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
        fields = (state.value, manifest_json, error_json, self._life_us, size_bytes, spent)
        if not self.call("finish", job_id, delivery, *fields):
            raise LeaseLost

    def cancel(self, job_id: str) -> JobState:
        """Cancels a queued job, flags a running one, leaves a final one; the state before. Raises: UnknownJob."""
        state = self.call("cancel", job_id, self._life_us).decode()
        if not state:
            self._raise_missing(job_id)
        return JobState(state)

    def remove(self, job_id: str) -> bool:
        """Drops the record of a job that has ended; false where it has not ended and stays."""
        return bool(self.call("remove", job_id) == b"gone")

    def reap(self) -> list[Redelivery]:
        """Takes back every job whose lease ran out: a new delivery, or failed at the crash limit."""
        error = WORKER_LOST.model_dump_json()
        flat = self.call("reap", self.settings.max_crashes, error, self._life_us, REAP_LIMIT)
        rows = zip(flat[0::3], flat[1::3], flat[2::3], strict=True)
        return [Redelivery(job_id.decode(), int(delivery), int(following)) for job_id, delivery, following in rows]

    def redeliver_missing(self, job_id: str, delivery: int, patience_s: float) -> int:
        """The new delivery of a queued job that the transport has lost for `patience_s`, or 0."""
        return int(self.call("redeliver_missing", job_id, delivery, int(patience_s * 1e6)))

    def expire(self) -> list[str]:
        """Replaces every record past its time by a tombstone; the ids, whose files are still there."""
        return [job_id.decode() for job_id in self.call("expire", TOMBSTONE_S, REAP_LIMIT)]

    def beat(self, worker: str, about: dict[str, Any]) -> bool:
        """A worker's sign of life, with what it says of itself; true where it is to take no more jobs."""
        life_s = max(60, int(2 * self.settings.lease_s))
        return bool(self.call("beat", worker, json.dumps(about), life_s, str(about.get("host", ""))))

    def retire(self, worker: str) -> None:
        """A worker leaves in order."""
        self.call("beat", worker, "", 0, "")

    def get(self, job_id: str, owner: str | None = None) -> JobRecord:
        """`owner`: of that owner's jobs alone. Raises: UnknownJob, ExpiredJob, QueueUnavailable."""
        record = self.get_many([job_id], owner)[0]
        if record is None:
            self._raise_missing(job_id, owner)
        return cast("JobRecord", record)

    def get_many(self, job_ids: Sequence[str], owner: str | None = None) -> list[JobRecord | None]:
        """The records in the order of the ids, None where there is none (of that owner's); one round trip."""
        with answering():
            pipe = self.redis.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hmget(self.key("job", job_id), _FIELDS)
                pipe.zrank(self.key("queued"), job_id)
            answers = pipe.execute()
        return [_record(*pair, owner) for pair in zip(answers[0::2], answers[1::2], strict=True)]

    def stored_bytes(self, owner: str) -> int:
        """What an owner's jobs have in the store, reservations included."""
        with answering():
            return int(cast("Any", self.redis.hget(self.key("stored"), owner)) or 0)

    def _held(self, answer: bytes) -> bool:
        if answer == b"lost":
            raise LeaseLost
        return answer == b"cancel"

    def _raise_missing(self, job_id: str, owner: str | None = None) -> None:
        with answering():
            last_owner = cast("bytes | None", self.redis.get(self.key("gone", job_id)))
        if last_owner is not None and owner in (None, last_owner.decode()):
            raise ExpiredJob("The job and its results were removed after their time to live.")
        raise UnknownJob("There is no job of that id.")


def _conflict() -> IdempotencyConflict:
    return IdempotencyConflict("This Idempotency-Key was used for a request with another body.")


def _scoped(idem: str, owner: str) -> str:
    """An idempotency key is its owner's own: two owners may use the same."""
    return f"{owner}:{idem}"


def _time(microseconds: str) -> datetime:
    return datetime.fromtimestamp(int(microseconds) / 1e6, tz=UTC)


def _timings_s(
    created_at: datetime, started_at: datetime | None = None, ended_at: datetime | None = None, **_: datetime
) -> dict[str, float]:
    """What is known of a job that ended without a word of its worker's."""
    if ended_at is None:
        return {}
    since = started_at or ended_at
    return {"queued": (since - created_at).total_seconds(), "total": (ended_at - since).total_seconds()}


def _record(values: Sequence[bytes | None], rank: int | None, owner: str | None) -> JobRecord | None:
    """The envelope from the hash's _FIELDS and the job's place in the queue; None for a job of another owner."""
    if values[0] is None or owner not in (None, (values[-1] or b"").decode()):
        return None
    field = {name: value.decode() for name, value in zip(_FIELDS, values, strict=True) if value}
    manifest = Manifest.model_validate_json(field["manifest"]) if "manifest" in field else Manifest()
    times = {
        f"{name}_at": _time(field[source])
        for name, source in (("created", "created"), ("started", "started"), ("ended", "ended"), ("expires", "expires"))
        if source in field
    }
    return JobRecord(
        id=field["id"],
        kind=cast("JobKind", field["kind"]),
        model=field["model"],
        model_sha256=field["model_sha256"],
        state=JobState(field["state"]),
        stage=field.get("stage"),
        progress=Progress(done=int(field.get("done", 0)), total=int(field.get("total", 0))),
        queue_position=rank + 1 if rank is not None else None,
        attempts=int(field["attempts"]),
        priority=cast("Priority", field.get("priority", "normal")),
        request=json.loads(field["request"]),
        latents=manifest.latents,
        metrics=manifest.metrics,
        results=manifest.results,
        files=manifest.files,
        timings_s=manifest.timings_s or _timings_s(**times),
        error=JobError.model_validate_json(field["error"]) if "error" in field else None,
        **times,
    )
