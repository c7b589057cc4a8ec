"""Prefer: wait. From here on the job is accepted: whatever happens, its record is the answer."""

import time
from contextlib import suppress
from typing import NamedTuple

from jobs.errors import VoxelsmithError
from jobs.state import JobRecord
from service.dependencies import PostFields, Services

LOOK_S = 1.0
"""One wait for the queue, after which it is seen that the server stops."""


class Submitted(NamedTuple):
    """An accepted job, and for how long the client was willing to wait, where it did or the job has ended."""

    record: JobRecord
    waited_s: int | None


def waited(record: JobRecord, services: Services, fields: PostFields) -> Submitted:
    """The record later, where the client wants to wait and a thread is free for it: `Prefer` is only a wish.

    The wait ends early when the server stops, the queue goes away or the job is removed.
    """
    if not fields.wait_s or record.state.is_terminal:
        return Submitted(record, fields.wait_s)
    if not services.waiters.acquire(blocking=False):
        return Submitted(record, None)
    try:
        return _held(record, services, fields.wait_s)
    finally:
        services.waiters.release()


def _held(record: JobRecord, services: Services, wait_s: int) -> Submitted:
    deadline = time.monotonic() + wait_s
    with suppress(VoxelsmithError):
        while not services.leaving.is_set():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return Submitted(record, wait_s)
            record = services.queue.wait(record.id, min(left_s, LOOK_S))
            if record.state.is_terminal:
                return Submitted(record, wait_s)
    return Submitted(record, None)
