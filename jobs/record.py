"""The job record in Redis as it is read: the one truth about a job, as the envelope that everyone is shown."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from contract.errors import ExpiredJob, TooManyTransfers, UnknownJob, UnreadableRecord
from contract.state import (
    JobError,
    JobKind,
    JobRecord,
    JobState,
    Manifest,
    Priority,
    Progress,
    Unreadable,
    WebhookState,
)
from jobs.scripts import Scripts, answering
from jobs.shared_bodies import Body, SharedBodies

RECORD_VERSION = 1
"""Of the fields that a submit writes. A record of a later version is left to those who know it; the first had none."""
_SMALL = (
    *("id", "kind", "model", "model_sha256", "state", "stage", "done", "total", "left", "created", "started", "ended"),
    *("expires", "attempts", "error", "priority", "volumes", "version"),
    *("hook_to", "hook_state", "hook_attempts", "hook_status", "hook_problem", "hook_due", "hook_done", "owner"),
)
_LARGE = ("request", "manifest")
"""Fields that may have megabytes."""
_MUCH_BYTES = 2**20
_MUCH_AT_ONCE = 2
"""Threads that read so much of records: each needs many times its length, and keeps the interpreter from the others."""
_PATIENCE_S = 2.0

Fields = Sequence[bytes | None]


class Records:
    """Every method raises QueueUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts, self._redis = scripts, scripts.redis
        self._bodies = SharedBodies()
        self._turns = threading.BoundedSemaphore(_MUCH_AT_ONCE)

    def get(self, job_id: str, owner: str | None = None) -> JobRecord:
        """`owner`: of that owner's jobs alone. Raises: UnknownJob, ExpiredJob, UnreadableRecord, TooManyTransfers."""
        record = self.get_many([job_id], owner)[0]
        if record is None:
            self.raise_missing(job_id, owner)
        if isinstance(record, Unreadable):
            raise UnreadableRecord(record.detail)
        return record

    def get_many(self, job_ids: Sequence[str], owner: str | None = None) -> list[JobRecord | Unreadable | None]:
        """The records in the order of the ids, None where there is none (of that owner's); two round trips.

        Raises: TooManyTransfers, where too many read large ones.
        """
        looks = self._look(job_ids)
        with self._turn(sum(look.size_bytes for look in looks)):
            return [_record(*pair, owner) for pair in zip(looks, self._large(job_ids), strict=True)]

    def document(self, job_id: str, owner: str | None = None) -> Body:
        """A record as JSON, which is in memory once for all who ask for it meanwhile. Raises: as `get`."""
        look = self._look([job_id])[0]
        if not look.is_of(owner):
            self.raise_missing(job_id, owner)
        name = hashlib.sha256(repr(look).encode()).hexdigest()
        known = self._bodies.known(name)
        if known is not None:
            return known
        with self._turn(look.size_bytes):
            known = self._bodies.known(name)
            body = known or self._bodies.share(name, _written(_record(look, self._large([job_id])[0], owner)))
        if body is None:
            raise TooManyTransfers("Too many large records are under way; come back later.")
        return body

    def _look(self, job_ids: Sequence[str]) -> list["_Look"]:
        key = self._scripts.key
        with answering():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hmget(key("job", job_id), _SMALL)
                pipe.zrank(key("queued"), job_id)
                for name in _LARGE:
                    pipe.hstrlen(key("job", job_id), name)
            answers = pipe.execute()
        rows = zip(answers[0::4], answers[1::4], answers[2::4], answers[3::4], strict=True)
        return [_Look(tuple(small), rank, request + manifest) for small, rank, request, manifest in rows]

    def _large(self, job_ids: Sequence[str]) -> list[Fields]:
        with answering():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hmget(self._scripts.key("job", job_id), _LARGE)
            return list(pipe.execute())

    @contextmanager
    def _turn(self, size_bytes: int) -> Iterator[None]:
        """Few read large records at once. Raises: TooManyTransfers."""
        if size_bytes <= _MUCH_BYTES:
            yield
            return
        if not self._turns.acquire(timeout=_PATIENCE_S):
            raise TooManyTransfers("Too many large records are under way; come back later.")
        try:
            yield
        finally:
            self._turns.release()

    def states(self, job_ids: Sequence[str]) -> list[str | None]:
        """The states in the order of the ids, None where there is no such job; one round trip."""
        with answering():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hget(self._scripts.key("job", job_id), "state")
            answers = pipe.execute()
        return [None if state is None else state.decode("utf-8", "replace") for state in answers]

    def exists(self, job_id: str) -> bool:
        """Whether there is a record, readable or not."""
        with answering():
            return bool(self._redis.exists(self._scripts.key("job", job_id)))

    def raise_missing(self, job_id: str, owner: str | None = None) -> NoReturn:
        """Says why there is no such record. Raises: UnknownJob, ExpiredJob."""
        with answering():
            last_owner = cast("bytes | None", self._redis.get(self._scripts.key("gone", job_id)))
        if last_owner is not None and owner in (None, last_owner.decode()):
            raise ExpiredJob("The job and its results were removed after their time to live.")
        raise UnknownJob("There is no job of that id.")


@dataclass(frozen=True)
class _Look:
    """What is known of a record before its large fields are read; another version of it looks different."""

    small: tuple[bytes | None, ...]
    rank: int | None
    size_bytes: int

    def is_of(self, owner: str | None) -> bool:
        """Whether there is such a job, of that owner."""
        return self.small[0] is not None and owner in (None, (self.small[-1] or b"").decode("utf-8", "replace"))


def time_of(microseconds: str) -> datetime:
    """A time of the server's clock."""
    return datetime.fromtimestamp(int(microseconds) / 1e6, tz=UTC)


def _timings_s(
    created_at: datetime, started_at: datetime | None = None, ended_at: datetime | None = None, **_: datetime
) -> dict[str, float]:
    """What is known of a job that ended without a word of its worker's."""
    if ended_at is None:
        return {}
    since = started_at or ended_at
    return {"queued": (since - created_at).total_seconds(), "total": (ended_at - since).total_seconds()}


def _record(look: _Look, large: Fields, owner: str | None) -> JobRecord | Unreadable | None:
    """The envelope from the record's fields; None for a job of another owner, or one that is gone meanwhile."""
    if not look.is_of(owner) or large[0] is None:
        return None
    job_id = (look.small[0] or b"").decode("utf-8", "replace")
    try:
        field = {
            name: value.decode() for name, value in zip((*_SMALL, *_LARGE), (*look.small, *large), strict=True) if value
        }
        if int(field.get("version", 0)) > RECORD_VERSION:
            return Unreadable(id=job_id, detail="The job's record was written by a later version of the service.")
        return _envelope(field, look.rank)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return Unreadable(id=job_id, detail="The job's record cannot be read by this version of the service.")


def _written(record: JobRecord | Unreadable | None) -> bytes:
    """Raises: UnknownJob, UnreadableRecord."""
    if record is None:
        raise UnknownJob("There is no job of that id.")
    if isinstance(record, Unreadable):
        raise UnreadableRecord(record.detail)
    return record.model_dump_json().encode()


def _envelope(field: Mapping[str, str], rank: int | None) -> JobRecord:
    """Raises: ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError for what is not one of ours."""
    manifest = Manifest.model_validate_json(field["manifest"]) if "manifest" in field else Manifest()
    times = {
        f"{name}_at": time_of(field[source])
        for name, source in (("created", "created"), ("started", "started"), ("ended", "ended"), ("expires", "expires"))
        if source in field
    }
    volumes = int(field.get("volumes", 0))
    return JobRecord(
        id=field["id"],
        kind=cast("JobKind", field["kind"]),
        model=field["model"],
        model_sha256=field["model_sha256"],
        state=JobState(field["state"]),
        stage=field.get("stage"),
        progress=_progress(field, volumes),
        volumes=volumes,
        queue_position=rank + 1 if rank is not None else None,
        attempts=int(field["attempts"]),
        priority=cast("Priority", field.get("priority", "normal")),
        request=_plain(json.loads(field["request"])),
        latents=manifest.latents,
        placement=manifest.placement,
        warnings=manifest.warnings,
        assumed=manifest.assumed,
        metrics=manifest.metrics,
        results=manifest.results,
        files=manifest.files,
        timings_s=manifest.timings_s or _timings_s(**times),
        error=JobError.model_validate_json(field["error"]) if "error" in field else None,
        webhook=_webhook(field) if "hook_to" in field else None,
        **times,
    )


def _webhook(field: Mapping[str, str]) -> WebhookState:
    """Raises: ValueError, OverflowError, OSError."""
    pending = "pending" if JobState(field["state"]).is_terminal else "waiting"
    state = cast("Any", field.get("hook_state", pending))
    return WebhookState(
        receiver=field["hook_to"],
        state=state,
        attempts=int(field.get("hook_attempts", 0)),
        last_status=int(field["hook_status"]) if "hook_status" in field else None,
        last_problem=field.get("hook_problem"),
        next_try_at=time_of(field["hook_due"]) if state == "pending" and "hook_due" in field else None,
        delivered_at=time_of(field["hook_done"]) if state == "delivered" else None,
    )


def _progress(field: Mapping[str, str], volumes: int) -> Progress:
    left = field.get("left")
    return Progress(
        done=int(field.get("done", 0)),
        total=int(field.get("total", volumes)),
        left_s=None if left is None else float(left),
    )


def _plain(request: Any) -> Any:
    """A request that can be written as it was read. Raises: ValueError for lone surrogates and NaN."""
    json.dumps(request, ensure_ascii=False, allow_nan=False).encode()
    return request
