"""Pulse: the thread that keeps a worker's lease while its main thread computes, and ends the process when it must."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from contract.errors import DeadlineExceeded, LeaseLost, QueueUnavailable
from contract.state import JobError
from jobs.deliveries import Claim, Deliveries

EXIT_DEADLINE = 70
"""A job ran past its time; it may hang in C, where no exception reaches it, so the process goes."""
log = logging.getLogger("voxelsmith.worker")


class Lease:
    """The job in hand, as its two threads see it."""

    def __init__(self, claim: Claim, timeout_s: float) -> None:
        self.claim = claim
        self.deadline = time.monotonic() + timeout_s
        self.is_canceled = threading.Event()
        """The user wants the job stopped."""
        self.is_lost = threading.Event()
        """The job belongs to a later delivery."""


class Pulse(threading.Thread):
    """Renews the lease three times per lease, shows the worker alive, enforces deadline and grace.

    Its deliveries must have a Redis client of their own that gives up quickly: a beat must not wait for another beat.
    """

    def __init__(self, deliveries: Deliveries, worker: str, beat: Callable[[], None]) -> None:
        """`beat` tells the supervisor that this process runs; it works without Redis."""
        super().__init__(name="pulse", daemon=True)
        self._deliveries, self._worker, self._beat = deliveries, worker, beat
        self.about: dict[str, Any] = {}
        """What the worker says of itself."""
        self.is_draining = False
        """The operator wants this worker to take no more jobs."""
        self._lease: Lease | None = None
        self._stop_at = float("inf")
        self._over = threading.Event()
        self._period_s = deliveries.settings.lease_s / 3
        self._tick_s = min(0.25, self._period_s / 4)

    @property
    def is_stopping(self) -> bool:
        """Whether the process was asked to end."""
        return self._stop_at != float("inf")

    def request_stop(self) -> None:
        """Starts the grace time; safe to call from a signal handler, and again."""
        if not self.is_stopping:
            self._stop_at = time.monotonic() + self._deliveries.settings.shutdown_grace_s

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[Lease]:
        """Keeps the claim's lease for the time of the block."""
        self._lease = Lease(claim, self._deliveries.settings.job_timeout_s)
        try:
            yield self._lease
        finally:
            self._lease = None

    def start(self) -> None:
        """Shows the worker alive before its first job can."""
        self._beat()
        self._renew()
        super().start()

    def run(self) -> None:
        following = 0.0
        while not self._over.wait(self._tick_s):
            self._enforce(time.monotonic())
            if time.monotonic() >= following:
                following = time.monotonic() + self._period_s
                self._beat()
                self._renew()

    def stop(self) -> None:
        """Ends the thread and takes the worker off the list of the living."""
        self._over.set()
        self.join()
        with suppress(QueueUnavailable):
            self._deliveries.retire(self._worker)

    def abandon(self, code: int, *, crashed: bool = False) -> NoReturn:
        """Hands the job back, if there is one, and ends the process without waiting for the main thread."""
        lease = self._lease
        if lease is not None:
            with suppress(QueueUnavailable, LeaseLost):
                self._deliveries.hand_back(lease.claim.id, lease.claim.delivery, crashed=crashed)
        with suppress(QueueUnavailable):
            self._deliveries.retire(self._worker)
        os._exit(code)

    def _renew(self) -> None:
        lease = self._lease
        try:
            if self._beat_queue(lease) != self.is_draining:
                self.is_draining = not self.is_draining
                self._beat_queue(lease)  # tells at once that it has heard of it
            if lease is not None and self._deliveries.renew(lease.claim.id, lease.claim.delivery):
                lease.is_canceled.set()
        except LeaseLost:
            if lease is not None:
                lease.is_lost.set()
        except QueueUnavailable:
            log.warning("the queue does not answer; the lease runs on")

    def _beat_queue(self, lease: Lease | None) -> bool:
        state = {"job": lease.claim.id if lease else None, "stopping": self.is_stopping, "draining": self.is_draining}
        return self._deliveries.beat(self._worker, self.about | state)

    def _enforce(self, now: float) -> None:
        lease = self._lease
        if lease is not None and now > lease.deadline:
            self._give_up(lease)
        if now > self._stop_at:
            log.warning("the grace time is over: handing the job back")
            self.abandon(0)

    def _give_up(self, lease: Lease) -> NoReturn:
        log.error("job %s ran past its time: ending the process", lease.claim.id, extra={"job": lease.claim.id})
        timeout_s = self._deliveries.settings.job_timeout_s
        error = JobError(code=DeadlineExceeded.code, detail=f"The job ran for more than {timeout_s:g} s.")
        with suppress(QueueUnavailable, LeaseLost):
            self._deliveries.give_up(lease.claim.id, lease.claim.delivery, error)
        self.abandon(EXIT_DEADLINE)
