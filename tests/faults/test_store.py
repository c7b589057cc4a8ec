"""The result store is full, read-only, failing or away while workers put files into it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.state import JobRecord, JobState
from jobs.queue import JobQueue
from jobs.settings import Settings
from tests.support.disks import fill, small_disk
from tests.support.invariants import Invariants, recover
from tests.support.processes import eventually, is_frozen, pid_of, supervised
from tests.support.sides import overview, scripts
from tests.support.tracing import await_idle, injected, is_idle, needs_strace

pytestmark = pytest.mark.fault
Submit = Callable[..., JobRecord]
TWO = {"acts": ["keep:000.nii.gz", "keep:001.nii.gz"]}

FAILURES = [
    ("write", "ENOSPC", 1, "store_full"),
    ("fsync", "EIO", 1, "store_unavailable"),
    ("fsync", "ENOSPC", 2, "store_full"),
    ("rename", "EROFS", 1, "store_unavailable"),
    ("rename", "EDQUOT", 2, "store_full"),
    ("mkdir", "EROFS", 3, "store_unavailable"),
]


@needs_strace
@pytest.mark.parametrize(("call", "error", "when", "code"), FAILURES)
def test_a_store_that_fails_a_call_fails_the_job_with_its_reason_and_the_worker_stays(
    queue: JobQueue, submit: Submit, settings: Settings, invariants: Invariants, call: str, error: str, when: int,
    code: str,
) -> None:  # fmt: skip
    patient = settings.model_copy(update={"lease_s": 5.0})
    with supervised(patient):
        await_idle(queue)
        pid = pid_of(queue)
        with injected(pid, call, f"error={error}", f"{when}+"):
            job = submit(TWO)
            eventually(lambda: queue.get(job.id).state.is_terminal)
        other = submit(TWO)
        assert queue.wait(other.id, 30).state is JobState.SUCCEEDED
        assert pid_of(queue) == pid
    failed, succeeded = invariants.hold(queue, [job.id, other.id])
    assert succeeded.state is JobState.SUCCEEDED
    assert failed.error is not None
    assert (failed.state, failed.error.code) == (JobState.FAILED, code)


def test_a_store_whose_disk_is_full_fails_jobs_clearly_until_there_is_room(
    submit: Submit, settings: Settings, queue: JobQueue, invariants: Invariants
) -> None:
    with small_disk("1m") as disk:
        own = settings.model_copy(update={"store_url": f"file://{disk}/store", "lease_s": 5.0})
        with supervised(own):
            await_idle(queue)
            fill(disk / "filler")
            full = submit(TWO)
            assert queue.wait(full.id, 30).state is JobState.FAILED
            (disk / "filler").unlink()
            fine = submit(TWO)
            assert queue.wait(fine.id, 30).state is JobState.SUCCEEDED
        failed, _ = invariants.hold(JobQueue(queue.redis, own), [full.id, fine.id])
    assert failed.error is not None
    assert failed.error.code == "store_full"


def test_a_store_that_goes_away_and_comes_back(
    submit: Submit, settings: Settings, queue: JobQueue, invariants: Invariants, tmp_path: Path
) -> None:
    root = Path(settings.store_url.removeprefix("file://"))
    elsewhere = root.with_name("elsewhere")
    with supervised(settings.model_copy(update={"lease_s": 5.0})):
        acts = ["keep:000.nii.gz", "once:await:gone", "keep:001.nii.gz"]
        first = submit({"acts": acts, "marks": str(tmp_path)})
        eventually(lambda: (tmp_path / "1").exists())
        root.rename(elsewhere)
        root.touch()
        (tmp_path / "gone").touch()
        assert queue.wait(first.id, 30).state is JobState.FAILED
        root.unlink()
        elsewhere.rename(root)
        second = submit(TWO)
        assert queue.wait(second.id, 30).state is JobState.SUCCEEDED
    failed, _ = invariants.hold(queue, [first.id, second.id])
    assert failed.error is not None
    assert failed.error.code == "store_unavailable"
    assert [entry.name for entry in failed.results] == ["000.nii.gz"]


@needs_strace
@pytest.mark.parametrize(
    ("call", "when"),
    [
        ("fsync", 1),
        pytest.param("rename", 1, marks=pytest.mark.slow),
        pytest.param("rename", 3, marks=pytest.mark.slow),
    ],
)
def test_a_worker_frozen_in_the_middle_of_a_publish_changes_nothing_when_it_wakes_up(
    queue: JobQueue, submit: Submit, settings: Settings, invariants: Invariants, call: str, when: int
) -> None:
    """Before the last look at its lease it is refused; frozen behind it, it puts the same bytes in the same place."""
    patient = settings.model_copy(update={"lease_s": 60.0})  # its supervisor would not notice, and kill it
    slow = JobQueue(queue.redis, patient)
    with supervised(patient):
        worker = await_idle(slow)
        frozen = pid_of(slow)
        with injected(frozen, call, "signal=SIGSTOP", when):
            job = submit(TWO)
            eventually(lambda: is_frozen(frozen))
            with queue.redis.pipeline() as pipe:  # its lease is over
                pipe.zadd(scripts(queue).key("leases"), {job.id: 1})
                pipe.hset(scripts(queue).key("job", job.id), "lease", 1)
                pipe.execute()
            with supervised(settings):
                recover(queue, [job.id])
                before = queue.get(job.id)
                assert before.state is JobState.SUCCEEDED
            os.kill(frozen, signal.SIGCONT)
            eventually(lambda: is_idle(slow, worker))
        assert queue.get(job.id) == before
        assert overview(queue).counts().of("fenced")
    invariants.hold(queue, [job.id])
