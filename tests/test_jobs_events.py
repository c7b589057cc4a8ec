"""The event streams: replay, resume, and the end."""

import threading
import time
from collections.abc import Callable

import pytest

from jobs.errors import UnknownJob
from jobs.events import Event
from jobs.queue import JobQueue
from jobs.state import JobRecord, JobState, Manifest, ResultFile

Submit = Callable[..., JobRecord]


def run_through(queue: JobQueue, job: JobRecord) -> None:
    entry = ResultFile(name="000.nii", index=0, media_type="x/y", size_bytes=1, sha256="0" * 64, shape=[1, 1, 1])
    queue.records.claim(job.id, 1, "worker")
    queue.records.progress(job.id, 1, "forward", 0, 1)
    queue.records.keep(job.id, 1, Manifest(results=[entry]), entry)
    queue.records.finish(job.id, 1, JobState.SUCCEEDED, Manifest(results=[entry]))


def test_a_late_listener_sees_everything_once_and_in_order(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    run_through(queue, job)
    events = list(queue.events.read(job.id))
    assert [event.type for event in events] == ["state", "state", "progress", "result", "end"]
    assert [event.data["state"] for event in events[:2]] == ["queued", "running"]
    assert events[2].data == {"stage": "forward", "done": 0, "total": 1}
    assert events[3].data["name"] == "000.nii"
    assert JobRecord.model_validate(events[4].data, strict=False) == queue.get(job.id)


def test_a_listener_resumes_after_the_last_event_it_saw(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    run_through(queue, job)
    events = list(queue.events.read(job.id))
    for seen in range(len(events)):
        assert list(queue.events.read(job.id, events[seen].id)) == events[seen + 1 :]


@pytest.mark.parametrize("after", ["", "abc", "1", "-1", "1-", "9" * 40 + "-0", "$", "1-1\n"])
def test_a_foreign_event_id_starts_from_the_beginning(queue: JobQueue, submit: Submit, after: str) -> None:
    job = submit()
    run_through(queue, job)
    assert len(list(queue.events.read(job.id, after))) == 5


def test_events_reach_a_waiting_listener(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    timer = threading.Timer(0.2, run_through, (queue, job))
    timer.start()
    assert [event.type for event in queue.events.read(job.id)][-1] == "end"
    timer.join()


def test_silence_is_filled_with_pings_where_wanted(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    stream = queue.events.read(job.id, ping_s=0.1)
    assert next(stream).type == "state"
    assert next(stream) == Event("", "ping", {})


def test_a_listener_of_a_removed_job_is_released(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    run_through(queue, job)
    stream = queue.events.read(job.id)
    for _ in range(4):
        next(stream)
    queue.remove(job.id)
    began = time.monotonic()
    with pytest.raises(UnknownJob):
        list(stream)
    assert time.monotonic() - began < 3


def test_an_unknown_job_is_refused_before_the_first_event(queue: JobQueue) -> None:
    with pytest.raises(UnknownJob):
        queue.events.read("nothing")


def test_published_events_are_read_like_any_other(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    queue.events.publish(job.id, Event("", "progress", {"stage": "load"}))
    stream = queue.events.read(job.id)
    assert [next(stream).type, next(stream).data] == ["state", {"stage": "load"}]


def test_the_stream_of_a_long_job_stays_small(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    queue.records.claim(job.id, 1, "worker")
    for step in range(1500):
        queue.records.progress(job.id, 1, "refine", step, 1500)
    assert queue.redis.xlen(queue.records.key("events", job.id)) < 1200
    queue.records.renew(job.id, 1)
    queue.records.finish(job.id, 1, JobState.SUCCEEDED, Manifest())
    assert list(queue.events.read(job.id))[-1].type == "end"
