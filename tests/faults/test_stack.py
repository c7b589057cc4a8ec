"""`voxelsmith serve` is killed or interrupted in the middle of a job: the next one on its folder finishes it."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from tests.support.invariants import Invariants, sound_records, wait_until_gone
from tests.support.processes import eventually
from tests.support.sides import scripts
from tests.voxelsmith.test_local import Service, start  # noqa: F401
from voxelsmith import Client
from voxelsmith.embedded_valkey import EmbeddedValkey

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(240)]


@contextmanager
def queue_of(data: Path) -> Iterator[JobQueue]:
    """The queue of a folder that no service runs on."""
    with EmbeddedValkey(data / "queue") as valkey:
        settings = Settings(redis_url=valkey.url, store_url=f"file://{data}/store")  # type: ignore[arg-type]
        with connect(settings) as redis:
            yield JobQueue(redis, settings)


def begin(service: Service) -> tuple[str, str]:
    """A job in the middle of its volumes, and one behind it."""
    with Client(service.url) as client:
        long = client.generate(model="tiny", seed=3, num_samples=32)
        short = client.generate(model="tiny", seed=4)
        eventually(lambda: client.job(long.id).results, 90)
        assert not client.job(long.id).is_done
    return long.id, short.id


def finish(service: Service, *job_ids: str) -> list[int]:
    """How often each was begun."""
    with Client(service.url) as client:
        ended = [client.job(job_id).wait(timeout_s=120) for job_id in job_ids]
        assert {job.state for job in ended} == {"succeeded"}
        return [job.record["attempts"] for job in ended]


def test_kill_9_of_the_parent_in_the_middle_of_a_job(
    start: Callable[..., Service], tmp_path: Path, invariants: Invariants
) -> None:
    service = start()
    jobs = begin(service)
    family = [*service.family()]
    service.process.kill()
    service.process.wait()
    again = start()
    assert finish(again, *jobs) == [2, 1]
    family += again.family()
    again.close()
    service.close()
    for pid in family:  # the Valkey that was orphaned is one of them
        wait_until_gone(pid)
    with queue_of(tmp_path / "data") as queue:
        sound_records(queue, jobs)
    invariants.left_nothing(queue)
    assert sorted(path.name for path in (tmp_path / "data" / "queue").glob("*.sock")) == []


def test_ctrl_c_to_the_whole_group_in_the_middle_of_a_job(
    start: Callable[..., Service], tmp_path: Path, invariants: Invariants
) -> None:
    service = start()
    jobs = begin(service)
    family = service.family()
    service.signal_all(signal.SIGINT)
    assert service.process.wait(60) == 0
    for pid in family:
        wait_until_gone(pid)
    again = start()
    assert finish(again, *jobs) == [2, 1]
    again.close()
    service.close()
    with queue_of(tmp_path / "data") as queue:
        sound_records(queue, jobs)
        for job_id in jobs:
            assert queue.redis.hget(scripts(queue).key("job", job_id), "crashes") == b"0"
    invariants.left_nothing(queue)
