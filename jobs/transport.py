"""RQ as the transport: it carries "<id>-<delivery>" to a worker. Nothing is ever read from RQ about a job's fate."""

import math
from typing import Any, cast

from redis import Redis
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from jobs.scripts import answering
from jobs.settings import Settings

TASK = "workers.tasks.run"
"""The one name that a queued RQ job may carry. Workers map it themselves and import nothing by name."""
LEFTOVER_TTL_S = 3600
"""RQ keeps what it believes to have failed for a year unless told otherwise."""


class Transport:
    """The RQ queue of one prefix."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self.rq = Queue(settings.queue_prefix, connection=redis, serializer=JSONSerializer)
        # RQ's own alarm is switched off in our worker; the number only has to exceed our own deadline.
        self._timeout_s = math.ceil(settings.job_timeout_s) + 60

    def push(self, job_id: str, delivery: int, *, front: bool = False) -> None:
        """Queues a delivery; a repeat does nothing. Raises: QueueUnavailable."""
        name = f"{job_id}-{delivery}"
        try:
            with answering():
                self.rq.enqueue_call(
                    TASK,
                    args=(job_id, delivery),
                    job_id=name,
                    unique=True,
                    timeout=self._timeout_s,
                    result_ttl=0,
                    failure_ttl=LEFTOVER_TTL_S,
                    description=name,
                    at_front=front,
                )
        except DuplicateJobError:
            return

    def forget(self, job_id: str, delivery: int) -> None:
        """Removes whatever RQ holds about a delivery that is over."""
        name = f"{job_id}-{delivery}"
        with answering():
            pipe = self.redis.pipeline(transaction=False)
            pipe.lrem(self.rq.key, 0, name)
            pipe.lrem(self.rq.intermediate_queue_key, 0, name)
            pipe.delete(f"rq:job:{name}", f"rq:executions:{name}", f"rq:results:{name}")
            pipe.zrem(f"rq:failed:{self.rq.name}", name)
            pipe.execute()

    def withdraw(self, job_id: str, delivery: int) -> None:
        """Removes the message of a delivery that was claimed without it. One that a worker holds is RQ's to end."""
        name = f"{job_id}-{delivery}"
        with answering():
            if self.redis.lrem(self.rq.key, 0, name):
                self.redis.delete(f"rq:job:{name}")

    def waiting(self) -> dict[str, set[int]]:
        """Deliveries in RQ's list by job id; one round trip."""
        with answering():
            names = cast("list[Any]", self.redis.lrange(self.rq.key, 0, -1))
        found: dict[str, set[int]] = {}
        for name in names:
            job_id, _, delivery = name.decode(errors="replace").rpartition("-")
            if delivery.isdecimal():
                found.setdefault(job_id, set()).add(int(delivery))
        return found
