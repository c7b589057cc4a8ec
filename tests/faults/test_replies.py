"""A reply of the queue's server that is lost: the write has happened, and nobody was told."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from contract.errors import QueueUnavailable
from contract.state import JobRecord, JobState
from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import new_id
from tests.support.invariants import Invariants, recover
from tests.support.lossy_proxy import LossyProxy
from tests.support.processes import ValkeyProcess, eventually, supervised
from tests.support.sides import deliveries, overview, transport
from tests.support.tracing import await_idle

pytestmark = pytest.mark.fault
Submit = Callable[..., JobRecord]
ACTS = {"acts": ["keep:000.nii.gz", "keep:001.nii.gz"]}


@pytest.fixture
def proxy(valkey: ValkeyProcess, invariants: Invariants) -> Iterator[LossyProxy]:
    path = valkey.folder / f"lossy-{invariants.mark[:8]}.sock"
    proxy = LossyProxy(path, valkey.socket)
    yield proxy
    proxy.close()
    path.unlink()


@pytest.fixture
def lossy(settings: Settings, proxy: LossyProxy) -> Settings:
    return settings.model_copy(update={"redis_url": Settings(redis_url=proxy.url).redis_url})


@pytest.fixture
def patient(lossy: Settings) -> Settings:
    """For a worker that must not be taken for dead, on a busy machine, while it waits for its first job."""
    return lossy.model_copy(update={"lease_s": 5.0})


def test_a_lost_reply_to_any_request_of_a_submit_makes_one_job_or_an_error(
    queue: JobQueue, submit: Submit, settings: Settings, lossy: Settings, proxy: LossyProxy, invariants: Invariants
) -> None:
    accepted: list[str] = []
    with connect(lossy) as redis:
        asking = JobQueue(redis, lossy)
        for nth in range(1, 20):
            redis.ping()
            proxy.lose(nth=nth)
            accepted.append(submit(ACTS, key=f"k{nth}", to=asking).id)
            if not proxy.lost.is_set():
                break
        else:
            raise AssertionError("a submit of so many requests was not foreseen")
        proxy.lose()
    assert nth > 4
    assert len(set(accepted)) == len(accepted) == len(queue.list().items)
    with supervised(settings):
        recover(queue, accepted)
    proxy.close()
    assert {record.state for record in invariants.hold(queue, accepted)} == {JobState.SUCCEEDED}


def test_a_submit_that_never_hears_anything_is_an_error_and_leaves_nothing_undone(
    queue: JobQueue, submit: Submit, settings: Settings, lossy: Settings, proxy: LossyProxy, invariants: Invariants
) -> None:
    """The record is written, and so is every repeat's; the client that repeats the post with its key has one job."""
    with connect(lossy, retries=0) as redis:
        proxy.lose(b"EVALSHA")
        with pytest.raises(QueueUnavailable):
            submit(ACTS, key="k", to=JobQueue(redis, lossy))
        assert proxy.lost.is_set()
        job = submit(ACTS, key="k", to=JobQueue(redis, lossy))
    with supervised(settings):
        recover(queue, [job.id])
    proxy.close()
    invariants.hold(queue, [job.id])


@pytest.mark.parametrize("key", [None, "k"])
def test_a_submit_that_is_not_confirmed_takes_no_job_from_a_worker(
    queue: JobQueue, submit: Submit, lossy: Settings, proxy: LossyProxy, invariants: Invariants, key: str | None
) -> None:
    """The post is answered with 503 while its job runs already: it runs on, and the repeated post finds it."""
    job_id = new_id()
    proxy.lose(b"WAITAOF", meanwhile=lambda: deliveries(queue).claim(job_id, 1, "worker"))
    with connect(lossy, retries=0) as redis, pytest.raises(QueueUnavailable):
        submit(key=key, job_id=job_id, to=JobQueue(redis, lossy))
    assert not deliveries(queue).renew(job_id, 1), "the worker was told to stop"
    if key:
        assert submit(key=key).id == job_id
    deliveries(queue).finish(job_id, 1, JobState.SUCCEEDED)
    transport(queue).forget(job_id, 1)
    proxy.close()
    invariants.hold(queue, [job_id])


def test_a_submit_that_is_not_confirmed_takes_no_job_from_another_client(
    queue: JobQueue, submit: Submit, settings: Settings, lossy: Settings, proxy: LossyProxy, invariants: Invariants
) -> None:
    told: list[JobRecord] = []
    with connect(lossy, retries=0) as redis:
        proxy.lose(b"WAITAOF", meanwhile=lambda: told.append(submit(ACTS, key="k")))
        with pytest.raises(QueueUnavailable):
            submit(ACTS, key="k", to=JobQueue(redis, lossy))
        proxy.lose(b"WAITAOF")
        with pytest.raises(QueueUnavailable):
            submit(ACTS, key="other", to=JobQueue(redis, lossy))
    assert queue.list().items == told, "what nobody was told of is taken back"
    with supervised(settings):
        recover(queue, [told[0].id])
    proxy.close()
    records = invariants.hold(queue, [told[0].id])
    assert [record.state for record in records] == [JobState.SUCCEEDED]


def test_a_lost_reply_to_a_dequeue_is_noticed_and_the_job_delivered_anew(
    queue: JobQueue, submit: Submit, patient: Settings, proxy: LossyProxy, invariants: Invariants
) -> None:
    proxy.lose(b"BLMOVE")
    with supervised(patient):
        await_idle(queue)
        first = submit(ACTS)
        assert proxy.lost.wait(30)
        recover(queue, [first.id])
    proxy.close()
    records = invariants.hold(queue, [first.id])
    assert {(record.state, record.attempts) for record in records} == {(JobState.SUCCEEDED, 1)}
    assert overview(queue).counts().of("lost_messages")


def test_a_job_whose_message_was_lost_is_taken_with_the_next_one(
    queue: JobQueue, submit: Submit, patient: Settings, proxy: LossyProxy, invariants: Invariants
) -> None:
    proxy.lose(b"BLMOVE")
    with supervised(patient):
        await_idle(queue)
        first = submit(ACTS)
        assert proxy.lost.wait(30)
        second = submit(ACTS)
        eventually(lambda: all(queue.get(job.id).state.is_terminal for job in (first, second)))
    proxy.close()
    records = invariants.hold(queue, [first.id, second.id])
    assert {(record.state, record.attempts) for record in records} == {(JobState.SUCCEEDED, 1)}
    assert overview(queue).counts().of("lost_messages") == {}


@pytest.mark.parametrize("first", [1, 11, 21, 31, 41, 51])
def test_a_lost_reply_to_any_request_of_a_worker_neither_loses_nor_doubles_its_job(
    queue: JobQueue, submit: Submit, lossy: Settings, proxy: LossyProxy, invariants: Invariants, first: int
) -> None:
    accepted, losses = [], 0
    with supervised(lossy):
        eventually(overview(queue).workers)
        for nth in range(first, first + 10):
            proxy.lose(nth=nth)
            accepted.append(submit(ACTS).id)
            recover(queue, accepted)
            losses += proxy.lost.is_set()
        proxy.lose(nth=0)
    proxy.close()
    assert losses or first > 21
    records = invariants.hold(queue, accepted)
    assert {record.state for record in records} == {JobState.SUCCEEDED}


def test_twenty_submits_with_one_key_over_a_line_that_loses_replies_make_one_job(
    queue: JobQueue, submit: Submit, settings: Settings, lossy: Settings, proxy: LossyProxy, invariants: Invariants
) -> None:
    with connect(lossy) as redis:
        asking = JobQueue(redis, lossy)
        for nth in (1, 7, 13, 25):
            proxy.lose(nth=nth)
            with ThreadPoolExecutor(20) as pool:
                ids = set(pool.map(lambda _: submit(ACTS, key="one", to=asking).id, range(20)))
            assert len(ids) == 1
    with supervised(settings):
        recover(queue, ids)
    proxy.close()
    assert len(queue.list().items) == 1
    invariants.hold(queue, ids)
