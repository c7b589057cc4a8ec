"""The webhooks that are due, over the scripts of the record: taken for a lease, settled, given up."""

from dataclasses import dataclass
from enum import StrEnum

from jobs.scripts import Scripts
from jobs.webhooks.outcome import Problem

DELAYS_S = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
"""After each attempt but the last: eight of them within 18 hours."""
MAX_ATTEMPTS = len(DELAYS_S) + 1
LEASE_S = 60.0
"""For one attempt. Who is silent for longer is taken for dead, and another sends the same once more."""
OF_ONE_KEY, OF_ONE_RECEIVER = 8, 4
"""Attempts under way at once, of all processes together: the others wait behind no slow one."""
RECHECK_S = 60.0
"""How often a job that has not ended is looked at. Its end makes its webhook due at once; this is for an end that was
written by an older version, which knows of none."""


class Outcome(StrEnum):
    DELIVERED = "delivered"
    RETRIED = "retried"
    GIVEN_UP = "given_up"


@dataclass(frozen=True)
class Due:
    """One attempt that is this process's to make."""

    job_id: str
    attempt: int
    url: str
    secret: str
    at_s: int
    """Of the queue's clock."""


class DueWebhooks:
    """Safe to use from any number of processes at once. Every method raises QueueUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def take(self, most: int) -> list[Due]:
        """Those whose time has come, each for one lease."""
        limits = (MAX_ATTEMPTS, OF_ONE_KEY, OF_ONE_RECEIVER)
        flat = self._scripts.call("webhooks_take", most, int(LEASE_S * 1e6), int(RECHECK_S * 1e6), *limits)
        at_s, rows = int(flat[0]) // 1_000_000, zip(*(flat[place::4] for place in range(1, 5)), strict=True)
        return [Due(job.decode(), int(n), url.decode(), secret.decode(), at_s) for job, n, url, secret in rows]

    def settle(self, due: Due, outcome: Outcome, status: int | None, problem: Problem | None, delay_s: float) -> bool:
        """Notes what came of an attempt; false where it is not this process's any more, or the job is gone."""
        said = (outcome.value, status or "", problem or "", int(delay_s * 1e6))
        return bool(self._scripts.call("webhooks_settle", due.job_id, due.attempt, *said))
