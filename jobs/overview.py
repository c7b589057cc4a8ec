"""Overview: what an operator sees of the queue and its workers, and which workers are to take no more jobs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import Redis

from contract.errors import QueueUnavailable
from jobs.connection import is_durable
from jobs.counts import Counts
from jobs.record import time_of
from jobs.scripts import Scripts, answering
from jobs.settings import Settings


@dataclass(frozen=True)
class Worker:
    """A live worker process."""

    name: str
    last_heartbeat: datetime
    about: dict[str, Any]
    """What it says of itself: device, pid, host, job, models, ..."""


class Overview:
    """Every method but `ping` raises QueueUnavailable when the server does not answer."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis, self._settings = redis, settings
        self._key = Scripts(redis, settings).key

    def ping(self) -> bool:
        """Whether the server answers."""
        try:
            with answering():
                return bool(self._redis.ping())
        except QueueUnavailable:
            return False

    def durable(self) -> bool:
        """Whether an accepted job survives a restart of the server."""
        return is_durable(self._redis)

    def depth(self) -> tuple[int, int]:
        """How many jobs are queued and how many run."""
        with answering():
            pipe = self._redis.pipeline(transaction=False)
            pipe.zcard(self._key("queued"))
            pipe.zcard(self._key("leases"))
            queued, running = pipe.execute()
        return int(queued), int(running)

    def oldest_s(self) -> float:
        """For how long the job that is next has been there since it was accepted; 0 where none waits."""
        with answering():
            first: Any = self._redis.zrange(self._key("queued"), 0, 0)
            if not first:
                return 0.0
            created: Any = self._redis.hget(self._key("job", first[0].decode()), "created")
            seconds, micros = self._time()
        return seconds + (micros - int(created)) / 1e6 if created else 0.0

    def counts(self) -> Counts:
        """What has happened to jobs since the server's log began."""
        with answering():
            fields: Any = self._redis.hgetall(self._key("counts"))
        return Counts(fields)

    def workers(self) -> Sequence[Worker]:
        """Workers that have shown a sign of life within the last lease."""
        with answering():
            seconds, micros = self._time()
            oldest = seconds * 1_000_000 + micros - int(self._settings.lease_s * 1e6)
            names: Any = self._redis.zrangebyscore(self._key("workers"), oldest, "+inf")
            pipe = self._redis.pipeline(transaction=False)
            for name in names:
                pipe.hmget(self._key("worker", name.decode()), ("about", "beat"))
            answers = pipe.execute()
        return [
            Worker(name.decode(), time_of(beat), json.loads(about))
            for name, (about, beat) in zip(names, answers, strict=True)
            if about
        ]

    def drain(self, name: str) -> None:
        """From now on that worker, or every worker of that host, takes no job."""
        with answering():
            self._redis.sadd(self._key("draining"), name)

    def resume(self, name: str) -> bool:
        """Takes that back; false where nothing was to take back."""
        with answering():
            return bool(self._redis.srem(self._key("draining"), name))

    def draining(self) -> set[str]:
        """Names of workers and hosts."""
        with answering():
            names: Any = self._redis.smembers(self._key("draining"))
        return {name.decode() for name in names}

    def _time(self) -> tuple[int, int]:
        """Seconds and microseconds of the server's clock."""
        seconds, micros = self._redis.time()
        return int(seconds), int(micros)
