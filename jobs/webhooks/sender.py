"""Sender: a thread that tells of jobs that have ended. One runs in every front end; what it sends is the queue's."""

import logging
import random
import threading
import time

from redis import Redis

from contract.errors import NotFound, VoxelsmithError
from contract.version import software_version
from contract.webhooks import receiver_of
from jobs.record import Records
from jobs.scripts import Scripts
from jobs.settings import Settings
from jobs.webhooks.addresses import AddressRule
from jobs.webhooks.due import DELAYS_S, MAX_ATTEMPTS, Due, DueWebhooks, Outcome
from jobs.webhooks.outcome import DeliveryError, Problem
from jobs.webhooks.payload import CONTENT_TYPE, body_of, message_id
from jobs.webhooks.post import Courier
from jobs.webhooks.signing import signed

MAX_UNDER_WAY = 64
"""Attempts of one process at once, a thread each."""
PERIOD_S = 0.5
_PATIENCE_S = 5.0
"""With a queue that does not answer."""
_LEAVE_S = 2.0
_FINAL_STATUS = 410
"""Gone: the receiver says that it wants no more."""
_FINAL_PROBLEMS = {Problem.ADDRESS_REFUSED}
log = logging.getLogger("voxelsmith.webhooks")


class Sender(threading.Thread):
    """Looks twice a second for webhooks that are due, and sends each in a thread of its own."""

    def __init__(self, redis: Redis, settings: Settings, period_s: float = PERIOD_S) -> None:
        super().__init__(name="webhooks", daemon=True)
        scripts = Scripts(redis, settings)
        self._due, self._records = DueWebhooks(scripts), Records(scripts)
        self._courier = Courier(AddressRule(settings.webhook_allowed))
        self._agent = f"voxelsmith/{software_version()}"
        self._period_s, self._over = period_s, threading.Event()
        self._under_way: list[threading.Thread] = []

    def run(self) -> None:
        while not self._over.wait(self._period_s):
            try:
                self._send_due()
            except VoxelsmithError as err:
                log.warning("will try again: %s", err.detail)
                self._over.wait(_PATIENCE_S)

    def stop(self) -> None:
        """Ends the thread, and waits a moment for what is under way. What takes longer is sent again, by whoever runs
        when its lease ends."""
        self._over.set()
        self.join()
        deadline = time.monotonic() + _LEAVE_S
        for thread in self._under_way:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _send_due(self) -> None:
        while not self._over.is_set():
            self._under_way = [thread for thread in self._under_way if thread.is_alive()]
            room = MAX_UNDER_WAY - len(self._under_way)
            taken = self._due.take(room) if room else []
            for due in taken:
                self._begin(due)
            if len(taken) < room or not room:
                return

    def _begin(self, due: Due) -> None:
        thread = threading.Thread(target=self._send, args=(due,), name="webhook", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            log.warning("webhook of job %s: no thread can be started; it is tried again", due.job_id)
        else:
            self._under_way.append(thread)

    def _send(self, due: Due) -> None:
        """Makes one attempt. What keeps it from being noted is mended by another one, when the lease is over."""
        try:
            record = self._records.get(due.job_id)
            status, problem = self._answer(due, body_of(record))
            outcome, delay_s = verdict(due.attempt, status, problem)
            self._due.settle(due, outcome, status, problem, delay_s)
            log.info("webhook of job %s: %s, %s", due.job_id, outcome.value, problem or status)
        except NotFound:  # removed meanwhile, and nobody wants to hear of it
            return
        except VoxelsmithError as err:
            log.warning("webhook of job %s: will try again: %s", due.job_id, err.detail)

    def _answer(self, due: Due, body: bytes) -> tuple[int | None, Problem | None]:
        fields = {"Content-Type": CONTENT_TYPE, "User-Agent": self._agent}
        fields |= signed(due.secret, message_id(due.job_id), due.at_s, body)
        try:
            return self._courier.post(receiver_of(due.url), fields, body), None
        except DeliveryError as err:
            return None, err.problem


def verdict(attempt: int, status: int | None, problem: Problem | None) -> tuple[Outcome, float]:
    """What follows from an attempt, and the seconds to the next one where there is one."""
    if status is not None and 200 <= status < 300:
        return Outcome.DELIVERED, 0.0
    if status == _FINAL_STATUS or problem in _FINAL_PROBLEMS or attempt >= MAX_ATTEMPTS:
        return Outcome.GIVEN_UP, 0.0
    return Outcome.RETRIED, DELAYS_S[attempt - 1] * random.uniform(1.0, 1.1)  # noqa: S311 -- spreads them
