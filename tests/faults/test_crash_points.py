"""kill -9 of a worker at every system call by which claim, run and publish change anything outside of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract.state import JobState
from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import Submission
from tests.support.invariants import Invariants, recover, sound_records
from tests.support.processes import eventually, supervised
from tests.support.ready import is_alive
from tests.support.sides import upkeep
from tests.support.tracing import await_idle, injected, is_idle, needs_strace

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300), needs_strace]
AT_ONCE = 4
BLOCK = 12
"""Points of one test."""
CALLS = {
    # How often one job makes each call, roundly upward: the last block of each must find that this is enough.
    "rename": 12,
    "fsync": 12,
    "write": 24,
    "mkdir": 24,
    "unlink": 12,
    "unlinkat": 12,
    "rmdir": 12,
    "openat": 48,
    "sendto": 84,
}
FAST = {"rename", "fsync"}
BLOCKS = [
    pytest.param(call, first, id=f"{call}-{first}", marks=[] if call in FAST else [pytest.mark.slow])
    for call, count in CALLS.items()
    for first in range(1, count + 1, BLOCK)
]


def crash(settings: Settings, call: str, when: int) -> bool:
    """One worker dies at a point of one job, the next one does the job. False where there is no such point."""
    with connect(settings) as redis:
        queue = JobQueue(redis, settings)
        with supervised(settings) as supervisor:
            worker = await_idle(queue)
            process = supervisor.seats[0].process
            assert process is not None
            with injected(process.pid, call, "signal=SIGKILL", when) as tracer:
                payload = {"acts": ["keep:000.nii.gz", "keep:001.nii.gz"]}
                job = queue.submit(Submission("generate", "tiny", "a" * 64, {}, payload, "d" * 64))

                def is_over() -> bool:
                    ended = queue.get(job.id).state.is_terminal and is_idle(queue, worker)
                    return ended or tracer.poll() is not None

                eventually(is_over)
                killed = tracer.poll() is not None
            recover(queue, [job.id])
        upkeep(queue).sweep()
        (record,) = sound_records(queue, [job.id])
        assert record.state is JobState.SUCCEEDED
        assert [entry.name for entry in record.results] == ["000.nii.gz", "001.nii.gz"]
        eventually(lambda: not is_alive(process.pid))
    return killed


@pytest.mark.parametrize(("call", "first"), BLOCKS)
def test_a_worker_killed_at_any_call_that_matters_loses_and_doubles_nothing(
    settings: Settings, tmp_path: Path, queue: JobQueue, invariants: Invariants, call: str, first: int
) -> None:
    def point(when: int) -> bool:
        changes = {"queue_prefix": f"{settings.queue_prefix}-{when}", "store_url": f"file://{tmp_path}/store-{when}"}
        # So many workers at once keep each other waiting: a short lease would kill more of them than strace does.
        return crash(settings.model_copy(update={**changes, "lease_s": 2.0}), call, when)

    killed: list[bool] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(first, first + BLOCK, AT_ONCE):
            killed += pool.map(point, range(start, start + AT_ONCE))
            if not any(killed[-AT_ONCE:]):
                break
    assert killed[0] or first > 1
    assert not all(killed) or first + BLOCK <= CALLS[call], "there are more points than are looked at"
    invariants.left_nothing(queue)
