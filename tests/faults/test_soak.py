"""Many jobs one after another: nothing grows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from contract.state import JobRecord, JobState
from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.upkeep import Upkeep
from tests.support.invariants import Invariants, sound_records
from tests.support.processes import ValkeyProcess, eventually, pid_of, supervised

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
KEEP = {"acts": ["keep:000.nii.gz"]}
MAY_GROW_BYTES = 4 * 2**20
"""An interpreter's allocator takes and gives in blocks."""


@dataclass
class Size:
    """What a worker and the server hold."""

    descriptors: int
    memory_bytes: int
    keys: list[bytes]


def size_of(pid: int, queue: JobQueue) -> Size:
    eventually(lambda: not queue.redis.keys("rq:job:*"))  # RQ tidies up after our record is final
    memory_bytes = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return Size(len(list(Path(f"/proc/{pid}/fd").iterdir())), memory_bytes, sorted(queue.redis.keys("*")))


def test_three_hundred_jobs_in_a_row_leave_nothing_to_grow(
    own_valkey: ValkeyProcess, submit: Callable[..., JobRecord], settings: Settings, invariants: Invariants
) -> None:
    redis_url = Settings(redis_url=own_valkey.url).redis_url
    own = settings.model_copy(update={"redis_url": redis_url, "lease_s": 10.0})
    with connect(own) as redis, supervised(own) as supervisor:
        queue = JobQueue(redis, own)
        pid = pid_of(queue)

        def run(count: int) -> Size:
            jobs = [submit(KEEP, to=queue) for _ in range(count)]
            assert {queue.wait(job.id, 120).state for job in jobs} == {JobState.SUCCEEDED}
            sound_records(queue, [job.id for job in jobs])
            for job in jobs:
                queue.remove(job.id)
            assert pid_of(queue) == pid
            scratch = supervisor.seats[0].scratch
            assert scratch is not None
            assert not any(scratch.iterdir())
            return size_of(pid, queue)

        run(30)
        Upkeep(redis, own).reap()  # the keeper of its own accord comes after some seconds, and leaves when it looked
        before = run(30)
        after = run(240)
    assert (after.descriptors, after.keys) == (before.descriptors, before.keys)
    assert after.memory_bytes <= before.memory_bytes + MAY_GROW_BYTES
    with connect(own) as redis:
        invariants.hold(JobQueue(redis, own), [])
