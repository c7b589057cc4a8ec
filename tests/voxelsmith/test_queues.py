"""Whose turn it is: priorities, workers that keep their models, and workers that are drained. Nothing is ever lost."""

import itertools
import json
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from typer.testing import CliRunner

from contract.state import JobRecord, JobState
from jobs.queue import JobQueue
from jobs.scheduling import head_start_us
from jobs.settings import Settings
from jobs.submission import Submission
from tests.support.invariants import sound_records
from tests.support.processes import eventually
from tests.support.service_fixtures import Api, api, models  # noqa: F401
from tests.support.sides import deliveries, overview, scripts, transport, upkeep
from voxelsmith.cli import app
from workers.supervisor import Supervisor

Submit = Callable[..., JobRecord]
Play = Callable[..., AbstractContextManager[Supervisor]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No test here is about a lost worker: a busy machine must make none."""
    return settings.model_copy(update={"lease_s": 5.0})


def post(queue: JobQueue, model: str = "a", priority: Any = "normal", acts: tuple[str, ...] = ()) -> str:
    body = {"model": model, "seed": 1}
    payload = {**body, "acts": list(acts)}
    return queue.submit(Submission("generate", model, "a" * 64, body, payload, "d" * 64, priority=priority)).id


def order(queue: JobQueue, *held: str) -> list[str]:
    """Ids as one worker would take them, each held model staying held."""
    taken: list[str] = []
    while waiting := transport(queue).waiting():
        handed = next((job_id, delivery) for job_id, found in waiting.items() for delivery in found)
        transport(queue).redis.lrem(transport(queue).rq.key, 1, f"{handed[0]}-{handed[1]}")
        turn = deliveries(queue).choose(handed, "w", "h", held)
        assert turn != "later"
        deliveries(queue).claim(*turn, "w")
        deliveries(queue).taken(handed, turn)
        taken.append(turn[0])
        assert transport(queue).waiting().keys() == ids_queued(queue), "one message for each job that waits"
    return taken


def ids_queued(queue: JobQueue) -> set[str]:
    return {record.id for record in queue.list(state="queued").items}


def test_jobs_without_wishes_are_taken_in_order(queue: JobQueue) -> None:
    posted = [post(queue) for _ in range(4)]
    assert order(queue) == posted


def test_high_goes_before_normal_and_low_after(queue: JobQueue) -> None:
    low, normal, high = (post(queue, priority=word) for word in ("low", "normal", "high"))
    assert [queue.get(job).queue_position for job in (high, normal, low)] == [1, 2, 3]
    assert queue.get(high).priority == "high"
    assert order(queue) == [high, normal, low]


def test_priority_is_a_head_start_and_no_job_starves(queue: JobQueue) -> None:
    """A job that has waited for longer than the head start goes first."""
    old = post(queue, priority="low")
    moved = queue.redis.zincrby(scripts(queue).key("queued"), -3 * head_start_us("high"), old)
    assert moved
    high = post(queue, priority="high")
    assert order(queue) == [old, high]


def test_a_worker_keeps_its_model(queue: JobQueue) -> None:
    a1, b1, a2, b2 = (post(queue, model) for model in "abab")
    assert order(queue, "b") == [b1, b2, a1, a2]


def test_a_job_is_passed_over_for_a_while_only(redis: Any, settings: Settings) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"model_patience_s": 0.2}))
    first, *others = (post(queue, model) for model in "abbb")
    handed = (first, 1)
    assert deliveries(queue).choose(handed, "w", "h", ["b"]) == (others[0], 1)
    time.sleep(0.25)
    assert deliveries(queue).choose((first, 2), "w", "h", ["b"]) == (first, 2)
    strict = JobQueue(redis, settings.model_copy(update={"model_patience_s": 0, "queue_prefix": "strict"}))
    a, b = post(strict, "a"), post(strict, "b")
    assert order(strict, "b") == [a, b]


def test_a_held_model_does_not_overtake_a_higher_priority(queue: JobQueue) -> None:
    normal, high = post(queue, "b"), post(queue, "a", "high")
    assert order(queue, "b") == [high, normal]


def test_redelivered_jobs_keep_their_place(queue: JobQueue) -> None:
    first, second = post(queue), post(queue)
    deliveries(queue).claim(first, 1, "w")
    transport(queue).forget(first, 1)
    deliveries(queue).hand_back(first, 1)
    assert queue.get(first).queue_position == 1
    assert order(queue) == [first, second]


def test_a_job_passed_over_whose_message_is_lost_is_delivered_anew(queue: JobQueue, play: Play) -> None:
    """A worker that dies between choosing and telling RQ."""
    a, b = post(queue, "a"), post(queue, "b")
    scripts(queue).call("choose", a, 1, "w", "h", 10**9, 100, "b")
    transport(queue).forget(a, 1)
    assert set(transport(queue).waiting()) == {b}

    def all_are_done() -> bool:
        upkeep(queue).reap(patience_s=0.1)
        return all(queue.get(job).state is JobState.SUCCEEDED for job in (a, b))

    with play():
        eventually(all_are_done)
    sound_records(queue, [a, b])


def test_workers_change_their_models_rarely(queue: JobQueue, play: Play, tmp_path: Path) -> None:
    posted = [post(queue, model, acts=("keep:x",)) for model in "abababab"]
    with play():
        eventually(lambda: all(queue.get(job).state.is_terminal for job in posted))
    started = sorted((queue.get(job) for job in posted), key=lambda record: record.started_at or record.created_at)
    run = [record.model for record in started]
    assert sum(one != two for one, two in itertools.pairwise(run)) == 1
    sound_records(queue, posted)


def test_a_drained_worker_ends_its_job_and_takes_no_more(queue: JobQueue, play: Play, settings: Settings) -> None:
    environment = {
        "VOXELSMITH_REDIS_URL": settings.redis_url.get_secret_value(),
        "VOXELSMITH_LEASE_S": str(settings.lease_s),
        "VOXELSMITH_QUEUE_PREFIX": settings.queue_prefix,
        "VOXELSMITH_STORE_URL": settings.store_url,
    }

    def command(*words: str) -> str:
        done = CliRunner().invoke(app, ["workers", *words], env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    with play():
        running = post(queue, acts=("sleep:1", "keep:x"))
        eventually(lambda: queue.get(running).state is JobState.RUNNING)
        command("drain", socket.gethostname())
        waiting = [post(queue) for _ in range(3)]
        eventually(lambda: queue.get(running).state is JobState.SUCCEEDED)
        command("drain", socket.gethostname(), "--wait")
        (worker,) = json.loads(command("list", "--json"))["workers"]
        assert worker["state"] == "drained, idle"
        assert ids_queued(queue) == set(waiting)
        # A second worker of the drained host takes none either; one that is resumed does.
        command("resume", socket.gethostname())
        eventually(lambda: all(queue.get(job).state is JobState.SUCCEEDED for job in waiting))
    sound_records(queue, [running, *waiting])
    assert overview(queue).draining() == set()


def test_one_worker_is_drained_by_its_name_and_another_takes_its_jobs(queue: JobQueue, play: Play) -> None:
    with play(count=2):
        one, two = eventually(lambda: len(found := overview(queue).workers()) == 2 and found)
        overview(queue).drain(one.name)
        posted = [post(queue, acts=("sleep:0.05",)) for _ in range(6)]
        eventually(lambda: all(queue.get(job).state is JobState.SUCCEEDED for job in posted))
        assert {(queue.get(job).metrics or {})["pid"] for job in posted} == {two.about["pid"]}
    sound_records(queue, posted)
    assert overview(queue).draining() == set(), "a worker's name goes with it"


def test_the_name_of_a_killed_worker_goes_with_its_life(queue: JobQueue) -> None:
    """The minute of that life is made to pass here: its description expires and its last beat grows old."""
    worker, key, redis = deliveries(queue), scripts(queue).key, queue.redis
    for name in ("killed", "silent", "drained", "alive"):
        worker.beat(name, {"host": "here"})
    for name in ("killed", "drained", "here"):
        overview(queue).drain(name)
    for name in ("killed", "silent"):
        redis.zadd(key("workers"), {name: 1.0})
    redis.delete(key("worker", "killed"))
    worker.beat("alive", {"host": "here"})
    assert set(redis.zrange(key("workers"), 0, -1)) == {b"silent", b"drained", b"alive"}
    assert overview(queue).draining() == {"drained", "here"}


def test_a_drained_worker_stops_when_told_to(queue: JobQueue, play: Play) -> None:
    with play(shutdown_grace_s=40.0) as supervisor:
        eventually(overview(queue).workers)
        overview(queue).drain(socket.gethostname())
        eventually(lambda: any(worker.about.get("draining") for worker in overview(queue).workers()))
        supervisor.stop()
        eventually(lambda: not overview(queue).workers(), 20)  # long before its grace is over


@pytest.mark.parametrize(
    ("prefer", "priority", "applied"),
    [
        ("priority=high", "high", "priority=high"),
        ('priority="LOW", wait=0', "low", "wait=0, priority=low"),
        ("priority=urgent", "normal", None),
        ("respond-async", "normal", None),
    ],
)
def test_a_post_may_wish_for_a_priority(api: Api, prefer: str, priority: str, applied: str | None) -> None:  # noqa: F811
    answer = api.post("/generate", {"model": "tiny", "seed": 1}, Prefer=prefer)
    assert answer.status_code == 202
    assert answer.json()["priority"] == priority
    assert answer.headers.get("preference-applied") == applied


def test_readiness_and_metrics_tell_of_drained_workers(api: Api) -> None:  # noqa: F811
    deliveries(api.queue).beat("w", {"host": "h", "draining": True, "models": {}})
    answer: httpx.Response = api.http.get("/readyz")
    assert answer.status_code == 503
    assert (answer.json()["checks"]["workers"], answer.json()["checks"]["draining"]) == (0, 1)
    assert "voxelsmith_workers_draining 1.0" in api.http.get("/metrics").text
    deliveries(api.queue).beat("v", {"host": "h", "models": {}})
    assert api.http.get("/readyz").json()["workers"] == 1
