"""Prefer: wait. From here on the job is accepted: whatever happens, its record is the answer."""

import time
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from contract.errors import VoxelsmithError
from contract.state import JobRecord
from service.dependencies import PostFields, Services

LOOK_S = 1.0
"""One wait for the queue, after which it is seen that the server stops."""


class Submitted(NamedTuple):
    """An accepted job, and what its client asked for, but for a wait that was cut short and a priority of another's.

    A job that another post with the same idempotency key made has the priority of that one.
    """

    record: JobRecord
    kept: PostFields


def waited(record: JobRecord, services: Services, fields: PostFields) -> Submitted:
    """The record later, where the client wants to wait and a thread is free for it: `Prefer` is only a wish.

    The wait ends early when the server stops, the queue goes away or the job is removed.
    """
    record, is_kept = _awaited(record, services, fields.wait_s or 0)
    wait_s = fields.wait_s if is_kept else None
    priority = fields.priority if fields.priority == record.priority else "normal"
    return Submitted(record, replace(fields, wait_s=wait_s, priority=priority))


def _awaited(record: JobRecord, services: Services, wait_s: int) -> tuple[JobRecord, bool]:
    """The record later, and whether that was not too early."""
    if not wait_s or record.state.is_terminal:
        return record, True
    if not services.waiters.acquire(blocking=False):
        return record, False
    try:
        return _held(record, services, wait_s)
    finally:
        services.waiters.release()


def _held(record: JobRecord, services: Services, wait_s: int) -> tuple[JobRecord, bool]:
    deadline = time.monotonic() + wait_s
    with suppress(VoxelsmithError):
        while not services.leaving.is_set():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return record, True
            record = services.queue.wait(record.id, min(left_s, LOOK_S))
            if record.state.is_terminal:
                return record, True
    return record, False
