"""OwnJobs: the queue as the holder of one API key sees it. A stranger's job is one that does not exist."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from contract.state import JobPage, JobRecord, JobState
from jobs.event_relay import Tell
from jobs.keys import ApiKey
from jobs.queue import JobQueue
from jobs.quota import NOBODY
from jobs.results.store import ResultStore
from jobs.shared_bodies import Body
from jobs.submission import Submission

Listen = Callable[[Tell], Callable[[], object]]
"""Begins to tell a listener; what it returns ends that."""


class OwnJobs:
    """Every method raises QueueUnavailable, and UnknownJob or ExpiredJob for an id that is not one of the owner's."""

    def __init__(self, queue: JobQueue, key: ApiKey) -> None:
        self._queue, self.owner, self.scopes = queue, key.id, key.scopes

    @property
    def results(self) -> ResultStore:
        return self._queue.results

    def submit(self, job: Submission) -> JobRecord:
        """Queues a job as this owner's. Raises: as JobQueue.submit."""
        return self._queue.submit(replace(job, charge=replace(job.charge, owner=self.owner)))

    def made_before(self, idempotency_key: str, digest: str) -> JobRecord | None:
        """As JobQueue.made_before, among this owner's keys. Raises: IdempotencyConflict."""
        return self._queue.made_before(idempotency_key, digest, self.owner)

    def get(self, job_id: str) -> JobRecord:
        return self._queue.get(job_id, self.owner)

    def document(self, job_id: str) -> Body:
        """As JobQueue.document."""
        return self._queue.document(job_id, self.owner)

    def list(
        self, state: JobState | str | None, kind: str | None, model: str | None, limit: int, cursor: str | None
    ) -> JobPage:
        """As JobQueue.list. Raises: InvalidRequest for a cursor that no page gave."""
        return self._queue.list(state, kind, model, limit, cursor, self.owner)

    def cancel(self, job_id: str) -> JobRecord:
        self.get(job_id)
        return self._queue.cancel(job_id)

    def remove(self, job_id: str) -> None:
        """Raises: ResultNotReady where the job has not ended."""
        self.get(job_id)
        self._queue.remove(job_id)

    def wait(self, job_id: str, timeout_s: float) -> JobRecord:
        self.get(job_id)
        return self._queue.wait(job_id, timeout_s)

    def events(self, job_id: str, after: str | None) -> Listen:
        """What begins to listen, as Relay.listen."""
        self.get(job_id)
        return partial(self._queue.relay.listen, job_id, after)

    def last_event_id(self, job_id: str) -> str:
        self.get(job_id)
        return self._queue.events.last_id(job_id)

    def room_bytes(self) -> int:
        """How much more the owner may store; without an owner more than there is."""
        if self.owner == NOBODY:
            return sys.maxsize
        return max(0, self._queue.settings.key_max_bytes - self._queue.stored_bytes(self.owner))
