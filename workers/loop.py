"""RQ's loop as this project runs it: one process, no fork, allow-listed functions, no alarms, no remote commands."""

import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from rq import Queue, SimpleWorker
from rq.exceptions import InvalidJobOperation, NoSuchJobError, StopRequested
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from rq.worker.base import WorkerStatus

from workers.heartbeat import Pulse

_DRAINED_LOOK_S = 0.25
DEQUEUE_S = 15
"""RQ waits this long for a job before it looks around; the connection's timeout must be longer."""


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

        def restore(self, raw_data: Any) -> None:
            # RQ ends its loop at a hash that it cannot read, and again at each start; one that is not there it drops.
            try:
                super().restore(raw_data)
            except (ValueError, TypeError, KeyError, AttributeError) as err:
                raise NoSuchJobError from err
            self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
            self.webhooks: list[Any] = []

    return AllowedJob


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
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

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
