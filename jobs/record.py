"""The job record in Redis as it is read: the one truth about a job, as the envelope that everyone is shown."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn, cast

from contract.errors import ExpiredJob, UnknownJob, UnreadableRecord
from contract.state import JobError, JobKind, JobRecord, JobState, Manifest, Priority, Progress
from jobs.scripts import Scripts, answering

RECORD_VERSION = 1
"""Of the fields that a submit writes. A record of a later version is left to those who know it; the first had none."""
_FIELDS = (
    *("id", "kind", "model", "model_sha256", "state", "stage", "done", "total", "created", "started", "ended"),
    *("expires", "attempts", "request", "manifest", "error", "priority", "volumes", "version", "owner"),
)


class Records:
    """Every method raises QueueUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts, self._redis = scripts, scripts.redis

    def get(self, job_id: str, owner: str | None = None) -> JobRecord:
        """`owner`: of that owner's jobs alone. Raises: UnknownJob, ExpiredJob, UnreadableRecord."""
        record = self.get_many([job_id], owner)[0]
        if record is None:
            self.raise_missing(job_id, owner)
        return record

    def get_many(self, job_ids: Sequence[str], owner: str | None = None) -> list[JobRecord | None]:
        """The records in the order of the ids, None where there is none (of that owner's); one round trip.

        Raises: UnreadableRecord.
        """
        key = self._scripts.key
        with answering():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hmget(key("job", job_id), _FIELDS)
                pipe.zrank(key("queued"), job_id)
            answers = pipe.execute()
        return [_record(*pair, owner) for pair in zip(answers[0::2], answers[1::2], strict=True)]

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


def _record(values: Sequence[bytes | None], rank: int | None, owner: str | None) -> JobRecord | None:
    """The envelope from the hash's _FIELDS and the job's place in the queue; None for a job of another owner."""
    if values[0] is None or owner not in (None, (values[-1] or b"").decode()):
        return None
    field = {name: value.decode() for name, value in zip(_FIELDS, values, strict=True) if value}
    if int(field.get("version", 0)) > RECORD_VERSION:
        raise UnreadableRecord("The job's record was written by a later version of the service.")
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
        progress=Progress(done=int(field.get("done", 0)), total=int(field.get("total", volumes))),
        volumes=volumes,
        queue_position=rank + 1 if rank is not None else None,
        attempts=int(field["attempts"]),
        priority=cast("Priority", field.get("priority", "normal")),
        request=json.loads(field["request"]),
        latents=manifest.latents,
        placement=manifest.placement,
        warnings=manifest.warnings,
        metrics=manifest.metrics,
        results=manifest.results,
        files=manifest.files,
        timings_s=manifest.timings_s or _timings_s(**times),
        error=JobError.model_validate_json(field["error"]) if "error" in field else None,
        **times,
    )
