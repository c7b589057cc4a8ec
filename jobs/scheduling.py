"""Scheduling: whose turn it is (docs/decisions/0027). The record decides it; RQ's message only wakes a worker."""

PRIORITY_S = 3600.0
"""A job of high priority goes before those accepted up to so long before it; one of low lets as many pass."""
LOOK_AHEAD = 100
"""Jobs at the head of the queue among which a worker looks for a model that it holds."""

Turn = tuple[str, int]
"""Id and delivery of a job."""


def head_start_us(priority: str) -> int:
    """By how much a job counts as accepted earlier than it was."""
    return int({"high": PRIORITY_S, "low": -PRIORITY_S}.get(priority, 0.0) * 1e6)
