"""The event streams: replay, resume, the end, and many listeners at once."""

import queue as queues
import threading
from collections.abc import Callable, Iterator

import pytest

from contract.state import JobRecord, JobState, Manifest, ResultFile
from jobs.events import Event
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.shared_bodies import Body
from tests.support.processes import eventually
from tests.support.sides import deliveries, scripts

Submit = Callable[..., JobRecord]
PATIENCE_S = 60.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nobody renews a lease here, and a busy machine outlasts a short one."""
    return settings.model_copy(update={"lease_s": 30.0})


@pytest.fixture(autouse=True)
def closed_relay(queue: JobQueue) -> Iterator[None]:
    yield
    queue.relay.close()


def run_through(queue: JobQueue, job: JobRecord) -> None:
    entry = ResultFile(name="000.nii", index=0, media_type="x/y", size_bytes=1, sha256="0" * 64, shape=[1, 1, 1])
    deliveries(queue).claim(job.id, 1, "worker")
    deliveries(queue).progress(job.id, 1, "forward", 0, 1)
    deliveries(queue).keep(job.id, 1, Manifest(results=[entry]), entry)
    deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest(results=[entry]))


def listened(queue: JobQueue, job_id: str, after: str | None = None) -> Iterator[Event]:
    """What one listener is told, until no more will come."""
    told: queues.Queue[Event | None] = queues.Queue()
    leave = queue.relay.listen(job_id, after, told.put)
    try:
        while (event := told.get(timeout=PATIENCE_S)) is not None:
            yield event
    finally:
        leave()


def test_a_late_listener_sees_everything_once_and_in_order(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    run_through(queue, job)
    events = list(listened(queue, job.id))
    assert [event.type for event in events] == ["state", "state", "progress", "result", "end"]
    assert [event.data["state"] for event in events[:2]] == ["queued", "running"]
    assert events[2].data == {"stage": "forward", "done": 0, "total": 1}
    assert events[3].data["name"] == "000.nii"
    assert JobRecord.model_validate(events[4].data, strict=False) == queue.get(job.id)


def test_a_listener_resumes_after_the_last_event_it_saw(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    run_through(queue, job)
    events = list(listened(queue, job.id))
    for seen in range(len(events)):
        assert list(listened(queue, job.id, events[seen].id)) == events[seen + 1 :]


@pytest.mark.parametrize("after", ["", "abc", "1", "-1", "1-", "9" * 40 + "-0", "$", "1-1\n"])
def test_a_foreign_event_id_starts_from_the_beginning(queue: JobQueue, submit: Submit, after: str) -> None:
    job = submit()
    run_through(queue, job)
    assert len(list(listened(queue, job.id, after))) == 5


def test_events_reach_a_waiting_listener(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    stream = listened(queue, job.id)
    assert next(stream).data == {"state": "queued"}
    run_through(queue, job)
    assert [event.type for event in stream] == ["state", "progress", "result", "end"]


def test_listeners_of_one_job_are_told_each_from_where_it_was(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    first = listened(queue, job.id)
    state = next(first)
    deliveries(queue).claim(job.id, 1, "worker")
    running = next(first)
    second, third = listened(queue, job.id, state.id), listened(queue, job.id, running.id)
    assert next(second) == running
    deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest())
    assert [event.type for stream in (first, second, third) for event in stream] == ["end"] * 3


def test_many_listeners_take_one_thread_and_one_connection(queue: JobQueue, submit: Submit) -> None:
    jobs = [submit() for _ in range(20)]
    ended: queues.Queue[str] = queues.Queue()
    threads, connections = set(threading.enumerate()), len(queue.redis.client_list())
    for number in range(300):
        job = jobs[number % len(jobs)]
        queue.relay.listen(job.id, None, lambda event, job=job: ended.put(job.id) if event is None else None)
    assert [thread.name for thread in threading.enumerate() if thread not in threads] == ["relay"]
    for job in jobs:
        run_through(queue, job)
    assert sorted(ended.get(timeout=PATIENCE_S) for _ in range(300)) == sorted(job.id for job in jobs * 15)
    assert len(queue.redis.client_list()) <= connections + 2


def test_a_listener_that_left_is_told_nothing(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    told: list[Event | None] = []
    leave = queue.relay.listen(job.id, None, told.append)
    eventually(lambda: len(told) == 1)
    leave()
    another = listened(queue, job.id)
    assert next(another).type == "state"  # read since then
    run_through(queue, job)
    assert [event.type for event in another][-1] == "end"
    assert len(told) == 1


def test_a_listener_of_a_removed_job_is_released(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    stream = listened(queue, job.id)
    assert next(stream).type == "state"
    deliveries(queue).claim(job.id, 1, "worker")
    queue.redis.delete(scripts(queue).key("job", job.id), scripts(queue).key("events", job.id))
    assert all(event.type == "state" for event in stream)


def test_listeners_are_released_where_the_queue_fails_or_the_front_end_stops(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    stream = listened(queue, job.id)
    next(stream)
    queue.redis.set(scripts(queue).key("events", job.id), "not a stream")
    assert list(stream) == []
    waiting = listened(queue, submit().id)
    assert next(waiting).type == "state"
    queue.relay.close()
    assert list(waiting) == []


def test_an_event_that_cannot_be_read_ends_its_listeners_and_not_the_relay(queue: JobQueue, submit: Submit) -> None:
    bad, good = submit(), submit()
    queue.redis.xadd(scripts(queue).key("events", bad.id), {"type": "state", "data": "{"})
    assert list(listened(queue, bad.id)) == []
    run_through(queue, good)
    assert list(listened(queue, good.id))[-1].type == "end"


def test_published_events_are_read_like_any_other(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    queue.events.publish(job.id, Event("", "progress", Body(b'{"stage": "load"}')))
    stream = listened(queue, job.id)
    assert [next(stream).type, next(stream).data] == ["state", {"stage": "load"}]


def test_the_stream_of_a_long_job_stays_small(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    for step in range(1500):
        deliveries(queue).progress(job.id, 1, "refine", step, 1500)
    assert queue.redis.xlen(scripts(queue).key("events", job.id)) < 1200
    deliveries(queue).renew(job.id, 1)
    deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest())
    assert list(listened(queue, job.id))[-1].type == "end"
