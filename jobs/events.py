"""Progress events: one capped Redis stream per job, written with the record and read by any number of listeners."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from jobs.scripts import Scripts, answering
from jobs.shared_bodies import LARGE_BYTES, Body

START = "0"
"""Before every event."""
MAX_WAIT_S = 2.0
"""One blocking read; shorter than the client's socket timeout."""
_EVENT_ID = re.compile(r"(\d{1,19})-(\d{1,19})")


class Event(NamedTuple):
    """`type` is state, progress, result or end; `id` resumes a stream after it."""

    id: str
    type: str
    body: Body
    """Its data as JSON; all listeners are told the same one."""

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body.data)
        return found


class EventLog:
    """The streams of all jobs. State changes write their events inside the record's own scripts."""

    def __init__(self, scripts: Scripts) -> None:
        self._key, self._redis = scripts.key, scripts.redis

    def publish(self, job_id: str, event: Event) -> None:
        """Adds an event of a job that exists."""
        fields: Any = {"type": event.type, "data": event.body.data}
        with answering():
            if self._redis.exists(self._key("job", job_id)):
                self._redis.xadd(self._key("events", job_id), fields, maxlen=1000)

    def last_id(self, job_id: str) -> str:
        """Id of the newest event, START where there is none."""
        with answering():
            newest = cast("list[Any]", self._redis.xrevrange(self._key("events", job_id), count=1))
        return newest[0][0].decode() if newest else START

    def read(self, after: Mapping[str, str], timeout_s: float) -> dict[str, list[Event]]:
        """What each job's stream has after an id; waits at most `timeout_s` (or 2 s) for the first of any.

        Jobs without a new event are left out. The data of `end` is what the script knew, not the JobRecord.
        """
        block_ms = max(1, int(min(timeout_s, MAX_WAIT_S) * 1000))
        streams: Any = {self._key("events", job_id): event_id for job_id, event_id in after.items()}
        with answering():
            answer: Any = self._redis.xread(streams, block=block_ms)
        # RESP2 answers [[stream, entries]], RESP3 {stream: [entries]}.
        pairs = answer if isinstance(answer, list) else [(name, found[0]) for name, found in (answer or {}).items()]
        return {
            name.decode().rpartition(":")[2]: [
                Event(event_id.decode(), fields[b"type"].decode(), _body(fields[b"data"]))
                for event_id, fields in entries
            ]
            for name, entries in pairs
        }


def _body(data: bytes) -> Body:
    """Raises: ValueError for a small one that is no JSON; a large one is not read for that."""
    if len(data) <= LARGE_BYTES:
        json.loads(data)
    return Body(data)


def order_of(event_id: str) -> tuple[int, int]:
    """What compares ids as Redis does."""
    match = _EVENT_ID.fullmatch(event_id)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def resumed(event_id: str | None) -> str:
    """An id that a client gave, START where it is none of ours."""
    return event_id if event_id and _EVENT_ID.fullmatch(event_id) else START
