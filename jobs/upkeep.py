"""Upkeep: the keeper's side of the jobs. It recovers what was lost on the way, and removes what is over."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis

from contract.errors import LeaseLost
from jobs.deliveries import WORKER_LOST, Deliveries
from jobs.record import Records
from jobs.results.store import ResultStore
from jobs.scripts import Scripts, answering
from jobs.settings import Settings
from jobs.transport import Transport

TOMBSTONE_S = 7 * 24 * 3600
"""How long an expired job answers "expired" instead of "unknown"."""
CLOCK_STEP_S = 3600.0
"""Upkeep looks at the queue's clock every few seconds: where it is this much further, it jumped, or nothing ran."""
CLOCK_PATIENCE_S = 3600.0
"""After such a step nothing expires for this long: a wrong clock can be set right, a result not be brought back."""
REAP_LIMIT = 100
"""Jobs that one run of the reaper handles at most per kind."""
MISSING_PATIENCE_S = 30.0
"""A queued job that RQ does not list for this long is delivered anew."""
SWEEP_EVERY_S = 3600
log = logging.getLogger("voxelsmith.upkeep")


@dataclass(frozen=True)
class Redelivery:
    """A job that was taken from `delivery`; `following` is the new one, or 0 where the job ended instead."""

    id: str
    delivery: int
    following: int


class Upkeep:
    """Safe to run in any number of processes at once. Every method raises QueueUnavailable."""

    def __init__(self, redis: Redis, settings: Settings, results: ResultStore | None = None) -> None:
        self.settings = settings
        self.results = results or ResultStore(settings.store_url)
        self._redis, self._scripts = redis, Scripts(redis, settings)
        self._records, self._transport = Records(self._scripts), Transport(redis, settings)

    def reap(self, patience_s: float = MISSING_PATIENCE_S) -> int:
        """Recovers what was lost and removes what has expired; how many jobs.

        `patience_s`: for a queued job that the transport does not list.
        """
        taken = self.take_back()
        for job in taken:
            self._transport.forget(job.id, job.delivery)
            if job.following:
                self._transport.push(job.id, job.following, front=True)
            else:
                self.results.drop(job.id, "uploads")
        expired = self.expire()
        for job_id in expired:
            self.results.drop(job_id, "results", "uploads")
        return len(taken) + len(expired) + self._deliver_missing(patience_s)

    def take_back(self) -> list[Redelivery]:
        """Takes back every job whose lease ran out: a new delivery, or failed at the crash limit."""
        error = WORKER_LOST.model_dump_json()
        flat = self._scripts.call("reap", self.settings.max_crashes, error, self._scripts.life_us, REAP_LIMIT)
        rows = zip(flat[0::3], flat[1::3], flat[2::3], strict=True)
        return [Redelivery(job_id.decode(), int(delivery), int(following)) for job_id, delivery, following in rows]

    def expire(self) -> list[str]:
        """Replaces every record past its time by a tombstone; the ids, whose files are still there."""
        step_us, patience_us = int(CLOCK_STEP_S * 1e6), int(CLOCK_PATIENCE_S * 1e6)
        has_jumped, ids = self._scripts.call("expire", TOMBSTONE_S, REAP_LIMIT, step_us, patience_us)
        if has_jumped:
            told = "the queue's clock is more than %g s ahead of the last look at it: nothing expires for %g s"
            log.warning(told, CLOCK_STEP_S, CLOCK_PATIENCE_S)
        return [job_id.decode() for job_id in ids]

    def redeliver_missing(self, job_id: str, delivery: int, patience_s: float) -> int:
        """The new delivery of a queued job that the transport has lost for `patience_s`, or 0."""
        return int(self._scripts.call("redeliver_missing", job_id, delivery, int(patience_s * 1e6)))

    def hand_back_all(self) -> int:
        """Returns every running job, without a crash; how many. For whoever knows that no worker is left."""
        deliveries = Deliveries(self._redis, self.settings, self.results)
        with answering():
            running: Any = self._redis.zrange(self._scripts.key("leases"), 0, -1)
            held = [self._redis.hget(self._scripts.key("job", name.decode()), "delivery") for name in running]
        count = 0
        for name, delivery in zip(running, held, strict=True):
            with suppress(LeaseLost):
                deliveries.hand_back(name.decode(), int(delivery or 0))
                count += 1
        return count

    def sweep(self) -> int:
        """Removes files of jobs that have no record, and temp files of dead processes; how many jobs' files.

        Only files older than any job's time to live: another queue may share the store, or this one's data be gone.
        To list a whole bucket costs time and money: of all processes one does it per hour.
        """
        if self.results.is_remote and not self._is_first_to_sweep():
            return 0
        return self.results.sweep(self._records.exists, max(3600.0, self.settings.result_ttl_s))

    def _is_first_to_sweep(self) -> bool:
        with answering():
            return bool(self._redis.set(self._scripts.key("swept"), 1, nx=True, ex=SWEEP_EVERY_S - 60))

    def _deliver_missing(self, patience_s: float) -> int:
        """Delivers anew what is queued but in no list of RQ: an API that died in mid-submit, a lost reply."""
        with answering():
            queued: Any = self._redis.zrange(self._scripts.key("queued"), 0, -1)
            waiting = self._transport.waiting()
            pipe = self._redis.pipeline(transaction=False)
            for job_id in queued:
                pipe.hget(self._scripts.key("job", job_id.decode()), "delivery")
            deliveries = pipe.execute()
        count = 0
        for job_id, delivery in zip((name.decode() for name in queued), deliveries, strict=True):
            if delivery is None or int(delivery) in waiting.get(job_id, ()):
                continue
            following = self.redeliver_missing(job_id, int(delivery), patience_s)
            if following:
                self._transport.forget(job_id, int(delivery))
                self._transport.push(job_id, following, front=True)
                count += 1
        return count
