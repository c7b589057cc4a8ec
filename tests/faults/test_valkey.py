"""The queue's server is killed, restarted, paused, full, or its disk is: accepted jobs are there and end."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from contract.errors import QueueUnavailable
from contract.state import JobRecord, JobState
from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from tests.support.disks import fill, small_disk
from tests.support.invariants import Invariants, all_records, recover
from tests.support.processes import ValkeyProcess, eventually, running, supervised

pytestmark = pytest.mark.fault
Submit = Callable[..., JobRecord]
LONG = {"acts": ["sleep:0.2", "keep:000.nii.gz"] * 4}
SHORT = {"acts": ["keep:000.nii.gz"]}


def of(settings: Settings, server: ValkeyProcess) -> Settings:
    """The settings with another server. Each of its absences may cost a job its lease, and a busy machine another."""
    return settings.model_copy(update={"redis_url": Settings(redis_url=server.url).redis_url, "max_crashes": 10})


@pytest.fixture
def own(settings: Settings, own_valkey: ValkeyProcess) -> Settings:
    return of(settings, own_valkey)


@pytest.fixture
def own_queue(own: Settings) -> Iterator[JobQueue]:
    with connect(own) as redis:
        yield JobQueue(redis, own)


@pytest.mark.parametrize("end", [ValkeyProcess.kill, ValkeyProcess.stop])
def test_jobs_survive_a_server_that_ends_and_comes_back(
    own_valkey: ValkeyProcess,
    own: Settings,
    own_queue: JobQueue,
    submit: Submit,
    invariants: Invariants,
    end: Callable[[ValkeyProcess], None],
) -> None:
    with supervised(own):
        jobs = [submit(LONG, to=own_queue), submit(SHORT, to=own_queue)]
        eventually(lambda: running(own_queue, jobs[0]))
        end(own_valkey)
        time.sleep(0.7)
        own_valkey.start()
        jobs.append(submit(SHORT, to=own_queue))
        recover(own_queue, [job.id for job in jobs])
    records = invariants.hold(own_queue, [job.id for job in jobs])
    assert {record.state for record in records} == {JobState.SUCCEEDED}


def test_a_server_that_pauses_for_longer_than_a_lease_loses_no_job(
    own_valkey: ValkeyProcess, own: Settings, own_queue: JobQueue, submit: Submit, invariants: Invariants
) -> None:
    assert own_valkey.process is not None
    with supervised(own):
        jobs = [submit(LONG, to=own_queue), submit(SHORT, to=own_queue)]
        eventually(lambda: running(own_queue, jobs[0]))
        for _ in range(2):
            os.kill(own_valkey.process.pid, signal.SIGSTOP)
            time.sleep(1.5)
            os.kill(own_valkey.process.pid, signal.SIGCONT)
            time.sleep(0.3)
        recover(own_queue, [job.id for job in jobs])
    records = invariants.hold(own_queue, [job.id for job in jobs])
    assert {record.state for record in records} == {JobState.SUCCEEDED}


def test_a_server_out_of_memory_refuses_and_goes_on_when_it_has_some(
    own: Settings, own_queue: JobQueue, submit: Submit, invariants: Invariants
) -> None:
    with supervised(own):
        jobs = [submit(LONG, to=own_queue), submit(SHORT, to=own_queue)]
        eventually(lambda: running(own_queue, jobs[0]))
        own_queue.redis.config_set("maxmemory", 1)
        with pytest.raises(QueueUnavailable):
            submit(SHORT, to=own_queue)
        time.sleep(1.5)
        own_queue.redis.config_set("maxmemory", 0)
        recover(own_queue, [job.id for job in jobs])
    records = invariants.hold(own_queue, [job.id for job in jobs])
    assert {record.state for record in records} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("policy", ["everysec", "always"])
def test_a_server_whose_disk_is_full_accepts_nothing_and_loses_nothing(
    settings: Settings, submit: Submit, invariants: Invariants, policy: str
) -> None:
    """Under everysec it refuses to write until it can; under always it ends, and starts again once it can."""
    with small_disk("4m") as disk:
        server = ValkeyProcess(disk, "--appendfsync", policy)
        server.start()
        own = of(settings, server)
        with connect(own) as redis, supervised(own):
            queue = JobQueue(redis, own)
            jobs = [submit(LONG, to=queue), submit(SHORT, to=queue)]
            eventually(lambda: running(queue, jobs[0]))
            fill(disk / "filler")
            eventually(lambda: is_refused(lambda: jobs.append(submit(SHORT, to=queue))))
            time.sleep(1.0)
            assert server.process is not None
            if policy == "always":
                server.process.wait(60)
            (disk / "filler").unlink()
            if policy == "always":
                server.start()
            eventually(lambda: not is_refused(lambda: jobs.append(submit(SHORT, to=queue))))
            recover(queue, all_records(queue))  # one that was refused may be there all the same
        with connect(own) as redis:
            queue = JobQueue(redis, own)
            records = invariants.hold(queue, [job.id for job in jobs])
        server.kill()
    assert {record.state for record in records} == {JobState.SUCCEEDED}


def is_refused(post: Callable[[], object]) -> bool:
    try:
        post()
    except QueueUnavailable:
        return True
    return False
