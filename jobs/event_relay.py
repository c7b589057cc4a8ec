"""Relay: the events of any number of jobs for any number of listeners, over one thread and one connection."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from contract.errors import ExpiredJob, QueueUnavailable, TooManyTransfers, UnknownJob, UnreadableRecord
from contract.state import JobState
from jobs.events import Event, EventLog, order_of, resumed
from jobs.record import Records
from jobs.shared_bodies import Body

SLICE_S = 0.05
"""One blocking read. It does not know of those who begin to listen meanwhile: their first event waits for its end."""
CHECK_EVERY_S = 1.0
"""So often listeners are looked for to whom nothing will happen any more."""

log = logging.getLogger("voxelsmith.relay")

Tell = Callable[[Event | None], object]
"""What a listener is told: events, and None where no more will come. The relay's thread calls it; it must not wait."""


@dataclass(eq=False)
class _Ear:
    """One listener of one job."""

    job_id: str
    last: str
    """Id of the last event it was told."""
    tell: Tell


class Relay:
    """Of one process. Its thread begins with the first listener and rests while there is none."""

    def __init__(self, records: Records, events: EventLog) -> None:
        self._records, self._log = records, events
        self._ears: set[_Ear] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def listen(self, job_id: str, after: str | None, tell: Tell) -> Callable[[], object]:
        """Tells the events of a job after an id (None: from the start) up to and with `end`, whose data is the record.

        Then, and where the queue fails or the job is removed, it tells None. Returns at once, with what ends it.
        """
        ear = _Ear(job_id, resumed(after), tell)
        with self._changed:
            self._ears.add(ear)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
                self._thread.start()
            self._changed.notify()
        return lambda: self._forget(ear)

    def close(self) -> None:
        """Ends the thread, and tells every listener that no more will come."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self._end(list(self._ears))

    def _run(self) -> None:
        checked = time.monotonic()
        while by_job := self._wait_for_ears():
            try:
                self._pass_on(by_job)
                if time.monotonic() - checked >= CHECK_EVERY_S:
                    checked = time.monotonic()
                    self._release(by_job)
            except Exception as err:  # whatever it is: those who listen later must find the thread alive
                if not isinstance(err, QueueUnavailable):
                    log.exception("all event streams were cut")
                self._end([ear for ears in by_job.values() for ear in ears])  # a client resumes after what it saw last

    def _wait_for_ears(self) -> Mapping[str, Sequence[_Ear]]:
        """Those that listen now, by job; nothing once the relay is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._ears or self._is_closed)
            by_job: dict[str, list[_Ear]] = defaultdict(list)
            for ear in () if self._is_closed else self._ears:
                by_job[ear.job_id].append(ear)
        return by_job

    def _pass_on(self, by_job: Mapping[str, Sequence[_Ear]]) -> None:
        """One read of all streams, each from where the slowest of its listeners is."""
        slowest = {job: min((ear.last for ear in ears), key=order_of) for job, ears in by_job.items()}
        found = self._log.read(slowest, SLICE_S)
        ended = [job for job, events in found.items() if events[-1].type == "end"]
        for job in ended:
            *before, end = found[job]
            body = self._record_of(job)
            found[job] = [*before, end._replace(body=body)] if body else before
        for job, events in found.items():
            for ear in by_job[job]:
                _catch_up(ear, events)
        self._end([ear for job in ended for ear in by_job[job]])

    def _record_of(self, job_id: str) -> Body | None:
        """The record of a job that has ended. None where the job was removed since, nobody can read it, or clients are
        slow to read many: their streams end without `end`, and are to be resumed."""
        try:
            return self._records.document(job_id)
        except (UnknownJob, ExpiredJob, UnreadableRecord, TooManyTransfers):
            return None

    def _release(self, by_job: Mapping[str, Sequence[_Ear]]) -> None:
        """Ends those whose job was removed, and those who had been told its end before they came."""
        for job, state in zip(by_job, self._records.states(list(by_job)), strict=True):
            if state is None:
                self._end(by_job[job])
            elif state not in (JobState.QUEUED, JobState.RUNNING):
                last = order_of(self._log.last_id(job))
                self._end([ear for ear in by_job[job] if order_of(ear.last) >= last])

    def _forget(self, ear: _Ear) -> bool:
        """Whether it listened until now."""
        with self._changed:
            listened = ear in self._ears
            self._ears.discard(ear)
        return listened

    def _end(self, ears: Sequence[_Ear]) -> None:
        for ear in ears:
            if self._forget(ear):
                with suppress(RuntimeError):  # of an event loop that is gone
                    ear.tell(None)


def _catch_up(ear: _Ear, events: Sequence[Event]) -> None:
    for event in events:
        if order_of(event.id) > order_of(ear.last):
            ear.last = event.id
            ear.tell(event)
