"""What a stranger writes into RQ's keys: it calls and imports nothing, and ends no worker, at no time."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from contract.state import JobRecord, JobState
from jobs.queue import JobQueue
from tests.support.processes import eventually, pid_of
from tests.support.sides import overview, transport
from workers.supervisor import Supervisor

Play = Callable[..., AbstractContextManager[Supervisor]]
Submit = Callable[..., JobRecord]
IMPORTED = "The Zen of Python"
"""What the module `this` prints when it is imported."""
GOOD = {
    "data": b'["workers.tasks.run", null, ["x", 1], {}]',
    "created_at": "2026-01-01T00:00:00.000000Z",
    "status": "started",
    "timeout": "100",
    "failure_ttl": "100",
}
FIELDS = (
    *("data", "created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "origin", "description"),
    *("status", "timeout", "result_ttl", "failure_ttl", "ttl", "meta", "group_id", "dependency_ids", "worker_name"),
    *("retries_left", "retry_intervals", "repeats_left", "repeat_intervals", "webhooks", "enqueue_at_front"),
)
GARBAGE = (b"\x00\xff", b"9" * 400, b"[" * 5000, b'{"a": 1}')


def plant(queue: JobQueue, name: str, **fields: str | bytes) -> bytes:
    """A hash of RQ as it would be, but for some fields."""
    queue.redis.hset(f"rq:job:{name}", mapping={**GOOD, "origin": transport(queue).rq.name, **fields})
    return name.encode()


def lose(queue: JobQueue, name: bytes) -> None:
    """As if a worker had begun it long ago and was never heard of again."""
    queue.redis.zadd(transport(queue).rq.started_job_registry.key, {name + b":execution": time.time() - 100})


def test_the_clean_up_calls_nothing_that_a_lost_jobs_hash_names(
    queue: JobQueue, submit: Submit, play: Play, capfd: pytest.CaptureFixture[str]
) -> None:
    names = {"success_callback_name": "this.s", "failure_callback_name": "this.s", "stopped_callback_name": "this.s"}
    lose(queue, plant(queue, "lost", **names))
    job = submit({"acts": ["step"]})
    with play():
        assert queue.wait(job.id, 30).state is JobState.SUCCEEDED
        assert IMPORTED not in capfd.readouterr().out
    assert not queue.redis.exists("rq:job:lost", transport(queue).rq.started_job_registry.key)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_no_hash_ends_a_worker_at_its_clean_up_or_in_its_queue(
    queue: JobQueue, submit: Submit, play: Play, garbage: bytes
) -> None:
    with play():
        first = pid_of(queue)
        for field in FIELDS:
            name = plant(queue, f"foreign-{field}", **{field: garbage})
            lose(queue, plant(queue, f"lost-{field}", **{field: garbage}))
            queue.redis.rpush(transport(queue).rq.key, name)
        job = submit({"acts": ["step"]})
        assert queue.wait(job.id, 60).state is JobState.SUCCEEDED
        assert pid_of(queue) == first
    with play():  # which begins with a clean-up
        again = submit({"acts": ["step"]})
        assert queue.wait(again.id, 60).state is JobState.SUCCEEDED
    assert not queue.redis.keys("rq:job:lost-*")


def test_a_key_that_holds_no_hash_and_a_name_that_is_no_text_end_no_worker(
    queue: JobQueue, submit: Submit, play: Play
) -> None:
    queue.redis.set("rq:job:text", "no hash")
    queue.redis.rpush(transport(queue).rq.intermediate_queue_key, b"\xff gone")
    for name in (b"text", b"\xff\xfe", b"\xff:\xfe", b"gone"):
        queue.redis.rpush(transport(queue).rq.key, name)
        lose(queue, name)
    with play():
        first = pid_of(queue)
        job = submit({"acts": ["step"]})
        assert queue.wait(job.id, 30).state is JobState.SUCCEEDED
        assert pid_of(queue) == first
    with play():
        eventually(overview(queue).workers)
        eventually(lambda: not queue.redis.lrange(transport(queue).rq.intermediate_queue_key, 0, -1))
