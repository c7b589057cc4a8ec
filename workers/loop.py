"""RQ's loop as this project runs it: one process, no fork, allow-listed functions, no alarms, no remote commands."""

import logging
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from redis.exceptions import ResponseError
from rq import Queue, SimpleWorker
from rq.exceptions import InvalidJobOperation, NoSuchJobError, StopRequested, TimeoutFormatError
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from rq.utils import now
from rq.worker.base import WorkerStatus
from rq.worker_registration import clean_worker_registry

from workers.heartbeat import Pulse

_DRAINED_LOOK_S = 0.25
DEQUEUE_S = 15
"""RQ waits this long for a job before it looks around; the connection's timeout must be longer."""
_READ = {b"data", b"origin", b"status", b"created_at", b"enqueued_at", b"timeout", b"result_ttl", b"failure_ttl"}
"""Fields of a job's hash that RQ is shown. Others name functions to call, jobs to follow or addresses to tell."""
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, AssertionError, OverflowError, TimeoutFormatError)
"""What RQ's reader raises at a hash that RQ did not write."""
_LONGEST_S = 2**31 - 1
log = logging.getLogger("voxelsmith.worker")


class NoAlarm(BaseDeathPenalty):  # type: ignore[misc]
    """RQ's own time limit is a SIGALRM that neither C++ nor CUDA hears; the pulse's deadline replaces it."""

    def setup_death_penalty(self) -> None:
        return

    def cancel_death_penalty(self) -> None:
        return


def job_class(allowed: Mapping[str, Callable[..., None]]) -> type[Job]:
    """An RQ job that runs the given functions by name and imports nothing, whatever its hash in Redis says."""

    class AllowedJob(Job):  # type: ignore[misc]
        @property
        def func(self) -> Callable[..., None]:
            if self.instance is not None or self.func_name not in allowed:
                raise PermissionError("a queued job names a function that is not on the list")
            return allowed[self.func_name]

        def refresh(self) -> None:
            try:
                super().refresh()
            except ResponseError as err:  # the key holds no hash
                raise NoSuchJobError from err

        def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
            # RQ ends its loop at a hash that it cannot read, and again at each start; one that is not there it drops.
            try:
                super().restore({name: value for name, value in raw_data.items() if name in _READ})
                _check_seconds(self.timeout, self.result_ttl, self.failure_ttl)
            except _UNREADABLE as err:
                raise NoSuchJobError from err

    return AllowedJob


def _check_seconds(*values: int | None) -> None:
    """Raises: ValueError for times that the queue's server would refuse in mid-job."""
    if not all(value is None or 0 <= value <= _LONGEST_S for value in values):
        raise ValueError("a queued job has a time that cannot be")


class DeviceWorker(SimpleWorker):  # type: ignore[misc]
    """RQ's loop in this very process, so that models stay resident."""

    death_penalty_class = NoAlarm
    max_connection_wait_time = 2.0
    log_result_lifespan = False

    def __init__(self, queue: Queue, pulse: Pulse, name: str, job_class: type[Job]) -> None:
        super().__init__(
            [queue],
            name=name,
            connection=queue.connection,
            job_class=job_class,
            serializer=JSONSerializer,
            log_job_description=False,
            worker_ttl=DEQUEUE_S + 15,
        )
        self._pulse = pulse

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """As RQ's, but a worker that is drained waits without taking anything. A signal to stop ends the wait."""
        self.set_state(WorkerStatus.IDLE)
        while self._pulse.is_draining:
            time.sleep(_DRAINED_LOOK_S)
        while True:
            try:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except UnicodeDecodeError:
                log.warning("the queue held a message that nothing here has written: dropped")

    def run_maintenance_tasks(self) -> None:
        """Instead of RQ's, which calls what a lost job's hash names, and ends the loop at a hash it cannot read.

        A lost delivery is the reaper's to make good. Here only its traces go, and no hash is read.
        """
        (queue,) = self.queues
        if queue.acquire_maintenance_lock():
            clean_worker_registry(queue)
            clear_traces(queue)
            queue.release_maintenance_lock()
        self.last_cleaned_at = now()

    def handle_job_success(self, job: Job, queue: Queue, started_job_registry: StartedJobRegistry) -> None:
        """As RQ's, which fails where a reaper has taken the delivery back: then only RQ's own leftovers go."""
        try:
            super().handle_job_success(job, queue, started_job_registry)
        except InvalidJobOperation:
            with self.connection.pipeline() as pipe:
                self.cleanup_execution(job, pipeline=pipe)
                pipe.delete(job.key)
                pipe.execute()

    def subscribe(self) -> None:
        """No remote commands: they reach no SimpleWorker that is busy, and cancel goes through the record."""

    def unsubscribe(self) -> None:
        """As subscribe."""

    def request_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """SIGTERM and SIGINT, however often: finish the sample in hand, or leave at once where there is none."""
        if self._pulse.is_stopping:
            return
        self._pulse.request_stop()
        self._stop_requested = True
        if self.get_state() != WorkerStatus.BUSY:
            raise StopRequested


def clear_traces(queue: Queue) -> None:
    """Removes what RQ holds about deliveries whose worker is lost, and messages that lead to no job."""
    redis, started, moment = queue.connection, queue.started_job_registry.key, time.time()
    entries = redis.zrangebyscore(started, 0, moment)
    lost = {entry.partition(b":")[0] for entry in entries}
    waiting = queue.intermediate_queue_key  # between a worker's taking a message and its start
    dead = [name for name in redis.lrange(waiting, 0, -1) if not redis.exists(b"rq:job:" + name)]
    with redis.pipeline() as pipe:
        for registry in (queue.finished_job_registry, queue.failed_job_registry):
            pipe.zremrangebyscore(registry.key, 0, moment)
        for entry in entries:
            pipe.zrem(started, entry)
        for name in lost:
            pipe.delete(b"rq:job:" + name, b"rq:executions:" + name, b"rq:results:" + name)
        for name in (*lost, *dead):
            pipe.lrem(waiting, 0, name)
        pipe.execute()
