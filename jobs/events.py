"""Progress events: one capped Redis stream per job, written with the record and read by any number of listeners."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from jobs.record import JobRecords, answering

_EVENT_ID = re.compile(r"\d{1,19}-\d{1,19}")
_SLICE_S = 1.0
"""One blocking read; shorter than the client's socket timeout."""


class Event(NamedTuple):
    """`type` is state, progress, result or end; `id` resumes a stream after it. A ping has no id and no data."""

    id: str
    type: str
    data: dict[str, Any]


class EventLog:
    """The streams of all jobs. State changes write their events inside the record's own scripts."""

    def __init__(self, records: JobRecords) -> None:
        self._records = records
        self._redis = records.redis

    def publish(self, job_id: str, event: Event) -> None:
        """Adds an event of a job that exists."""
        fields: Any = {"type": event.type, "data": json.dumps(event.data)}
        with answering():
            if self._redis.exists(self._records.key("job", job_id)):
                self._redis.xadd(self._records.key("events", job_id), fields, maxlen=1000)

    def read(self, job_id: str, after: str | None = None, *, ping_s: float | None = None) -> Iterator[Event]:
        """Events after an id (None: from the start) up to and with `end`, whose data is the JobRecord.

        Blocks between events; with `ping_s` it yields Event("", "ping", {}) after each such silence.
        Raises at once, not on the first step: UnknownJob, ExpiredJob, QueueUnavailable.
        """
        self._records.get(job_id)
        last = after if after and _EVENT_ID.fullmatch(after) else "0"
        return self._follow(job_id, last, ping_s)

    def last_id(self, job_id: str) -> str:
        """Id of the newest event, "0" where there is none."""
        with answering():
            newest = cast("list[Any]", self._redis.xrevrange(self._records.key("events", job_id), count=1))
        return newest[0][0].decode() if newest else "0"

    def poll(self, job_id: str, after: str, timeout_s: float) -> list[tuple[str, str, str]]:
        """(id, type, JSON) of the events after an id; waits at most `timeout_s` (or 2 s) for the first."""
        block_ms = max(1, int(min(timeout_s, 2 * _SLICE_S) * 1000))
        with answering():
            answer: Any = self._redis.xread({self._records.key("events", job_id): after}, block=block_ms)
        # RESP2 answers [[stream, entries]], RESP3 {stream: [entries]}.
        streams = [pair[1] for pair in answer] if isinstance(answer, list) else [s[0] for s in (answer or {}).values()]
        return [
            (event_id.decode(), fields[b"type"].decode(), fields[b"data"].decode())
            for entries in streams
            for event_id, fields in entries
        ]

    def _follow(self, job_id: str, last: str, ping_s: float | None) -> Iterator[Event]:
        spoke = time.monotonic()
        slice_s = 0.0  # what is there already comes at once, and an end that was read before is noticed at once
        while True:
            entries = self.poll(job_id, last, slice_s)
            slice_s = min(_SLICE_S, ping_s or _SLICE_S)
            for event_id, kind, data in entries:
                last, spoke = event_id, time.monotonic()
                if kind == "end":
                    yield Event(event_id, kind, self._records.get(job_id).model_dump(mode="json"))
                    return
                yield Event(event_id, kind, json.loads(data))
            if not entries and self._is_over(job_id, last):
                return
            if ping_s is not None and time.monotonic() - spoke >= ping_s:
                spoke = time.monotonic()
                yield Event("", "ping", {})

    def _is_over(self, job_id: str, last: str) -> bool:
        """Whether nothing can follow: the job was removed, or its end was already read by this listener."""
        (record,) = self._records.get_many([job_id])
        return record is None or (record.state.is_terminal and self.last_id(job_id) == last)
