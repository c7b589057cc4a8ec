"""Pages of jobs, newest first. A filter looks at small fields; whole records are read only of the jobs on the page."""

from dataclasses import dataclass
from typing import Any

from contract.errors import InvalidRequest
from contract.state import JobPage, JobRecord, JobState, Unreadable
from jobs.record import Records
from jobs.scripts import Scripts, answering

PAGE_BYTES = 4 * 2**20
"""Of requests and manifests, beyond which a page ends early: one job may have megabytes of latents."""
SCAN_LIMIT = 5000
"""Jobs that one page of a filtered list looks at; beyond it the page is short and its cursor goes on."""
_SCAN_STEP = 200


@dataclass(frozen=True)
class Filter:
    """Which jobs are listed; None: whatever it is."""

    state: JobState | str | None = None
    kind: str | None = None
    model: str | None = None

    def fits(self, state: str | None, kind: str | None, model: str | None) -> bool:
        return self.state in (None, state) and self.kind in (None, kind) and self.model in (None, model)


@dataclass(frozen=True)
class _Brief:
    """What a page needs to know of a job before it reads it."""

    sequence: int
    id: str
    fits: bool
    size_bytes: int


def page(
    scripts: Scripts, records: Records, wanted: Filter, limit: int, cursor: str | None, owner: str | None
) -> JobPage:
    """Up to `limit` jobs, of all or of one owner's. Raises: InvalidRequest for a cursor that no page gave."""
    before, chosen = _sequence(cursor), list[_Brief]()
    seen, size, more = 0, 0, True
    step = limit + 1 if wanted == Filter() else _SCAN_STEP
    while more and seen < SCAN_LIMIT:
        briefs = _briefs(scripts, wanted, before, step, owner)
        more = len(briefs) == step
        for brief in briefs:
            if brief.fits and chosen and (len(chosen) == limit or size + brief.size_bytes > PAGE_BYTES):
                return _read(records, wanted, chosen, before, owner)
            if brief.fits:
                chosen.append(brief)
                size += brief.size_bytes
            seen, before = seen + 1, brief.sequence
    return _read(records, wanted, chosen, before if more else None, owner)


def _read(records: Records, wanted: Filter, chosen: list[_Brief], following: int | None, owner: str | None) -> JobPage:
    """The page of those jobs, without what has changed since it was chosen."""
    read = records.get_many([brief.id for brief in chosen], owner)
    items = [record for record in read if isinstance(record, JobRecord) and _fits(wanted, record)]
    unreadable = [record for record in read if isinstance(record, Unreadable)]
    cursor = None if following is None else str(following)
    return JobPage(items=items, unreadable=unreadable, next_cursor=cursor)


def _fits(wanted: Filter, record: JobRecord) -> bool:
    return wanted.fits(record.state.value, record.kind, record.model)


def _briefs(scripts: Scripts, wanted: Filter, before: int | None, count: int, owner: str | None) -> list[_Brief]:
    """The newest jobs before a sequence number; two round trips."""
    top = "+inf" if before is None else f"({before}"
    listed = scripts.key("jobs", owner) if owner else scripts.key("jobs")
    with answering():
        index: Any = scripts.redis.zrevrangebyscore(listed, top, "-inf", start=0, num=count, withscores=True)
        pipe = scripts.redis.pipeline(transaction=False)
        for job_id, _ in index:
            key = scripts.key("job", job_id.decode())
            pipe.hmget(key, ("state", "kind", "model"))
            pipe.hstrlen(key, "request")
            pipe.hstrlen(key, "manifest")
        answers = pipe.execute()
    rows = zip(index, answers[0::3], answers[1::3], answers[2::3], strict=True)
    return [
        _Brief(int(score), job_id.decode(), _is_wanted(wanted, about), request_bytes + manifest_bytes)
        for (job_id, score), about, request_bytes, manifest_bytes in rows
    ]


def _is_wanted(wanted: Filter, about: list[bytes | None]) -> bool:
    """Of a job that is still there."""
    return about[0] is not None and wanted.fits(
        *(value.decode("utf-8", "replace") if value else None for value in about)
    )


def _sequence(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 15):
        raise InvalidRequest("The cursor is not one that a page gave.", [("/cursor", "must be a next_cursor")])
    return int(cursor)
