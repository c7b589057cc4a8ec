"""Turns: which job a worker takes next, and which workers take none. The record decides it; RQ's message only wakes."""

from collections.abc import Iterable
from typing import Any, Literal

from jobs.record import JobRecords, answering
from jobs.transport import Transport

PRIORITY_S = 3600.0
"""A job of high priority goes before those accepted up to so long before it; one of low lets as many pass."""
LOOK_AHEAD = 100
"""Jobs at the head of the queue among which a worker looks for a model that it holds."""

Turn = tuple[str, int]
"""Id and delivery of a job."""


class Turns:
    """Every method raises QueueUnavailable."""

    def __init__(self, records: JobRecords, transport: Transport) -> None:
        self._records, self._transport = records, transport

    def choose(self, handed: Turn, worker: str, host: str, models: Iterable[str]) -> Turn | Literal["later"]:
        """What a worker that was handed a message should claim: the job whose turn it is, or one further back whose
        model the worker holds. "later": the worker is to take none; the job waits for another.

        A job that is passed over gets a new message, so that there is always one for each queued job.
        """
        job_id, delivery = handed
        patience_us = int(self._records.settings.model_patience_s * 1e6)
        fields = (job_id, delivery, worker, host, patience_us, LOOK_AHEAD)
        chosen, chosen_delivery, following = self._records.call("choose", *fields, *models)
        if following:
            self._transport.push(job_id, int(following), front=True)
        return (chosen.decode(), int(chosen_delivery)) if chosen else "later"

    def taken(self, handed: Turn, turn: Turn) -> None:
        """Call it once the turn is claimed: its own message has nothing to tell any more."""
        if turn != handed:
            self._transport.withdraw(*turn)

    def drain(self, name: str) -> None:
        """From now on that worker, or every worker of that host, takes no job."""
        with answering():
            self._records.redis.sadd(self._key, name)

    def resume(self, name: str) -> bool:
        """Takes that back; false where nothing was to take back."""
        with answering():
            return bool(self._records.redis.srem(self._key, name))

    def draining(self) -> set[str]:
        """Names of workers and hosts."""
        with answering():
            names: Any = self._records.redis.smembers(self._key)
        return {name.decode() for name in names}

    @property
    def _key(self) -> str:
        return self._records.key("draining")


def head_start_us(priority: str) -> int:
    """By how much a job counts as accepted earlier than it was."""
    return int({"high": PRIORITY_S, "low": -PRIORITY_S}.get(priority, 0.0) * 1e6)
