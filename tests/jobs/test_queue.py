"""JobQueue: submitting, listing, waiting, recovering, expiring."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from contract.errors import (
    ExpiredJob,
    IdempotencyConflict,
    InvalidRequest,
    QueueFull,
    QueueUnavailable,
    ResultNotReady,
    UnknownJob,
)
from contract.state import JobError, JobRecord, JobState, Manifest
from jobs.connection import check_server, connect
from jobs.pages import PAGE_BYTES
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import Submission, new_id
from tests.support.processes import ValkeyProcess, eventually
from tests.support.sides import deliveries, overview, transport, upkeep

Submit = Callable[..., JobRecord]


def finish(queue: JobQueue, job: JobRecord) -> None:
    deliveries(queue).claim(job.id, 1, "worker")
    deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest())


def test_twenty_parallel_submits_with_one_key_make_one_job(queue: JobQueue, submit: Submit) -> None:
    with ThreadPoolExecutor(20) as pool:
        jobs = list(pool.map(lambda _: submit(key="once"), range(20)))
    assert len({job.id for job in jobs}) == 1
    assert len(queue.list().items) == 1
    assert transport(queue).waiting() == {jobs[0].id: {1}}


def test_a_key_used_for_another_body_is_refused(queue: JobQueue, submit: Submit) -> None:
    job = submit(key="once", digest="a" * 64)
    with pytest.raises(IdempotencyConflict):
        submit(key="once", digest="b" * 64)
    assert submit(key="once", digest="a" * 64).id == job.id
    assert submit(key="other", digest="b" * 64).id != job.id


def test_a_key_still_answers_with_the_job_once_that_has_ended(queue: JobQueue, submit: Submit) -> None:
    job = submit(key="once")
    finish(queue, job)
    assert submit(key="once").state is JobState.SUCCEEDED
    queue.remove(job.id)
    assert submit(key="once").id != job.id


def test_a_full_queue_takes_no_more_but_repeats_old_answers(redis: Redis, settings: Settings, submit: Submit) -> None:
    small = JobQueue(redis, settings.model_copy(update={"queue_limit": 2}))
    first = submit(key="once", to=small)
    second = submit(to=small)
    with pytest.raises(QueueFull):
        submit(to=small)
    assert submit(key="once", to=small).id == first.id
    small.cancel(second.id)
    submit(to=small)


def test_queue_positions_count_from_the_next_one(queue: JobQueue, submit: Submit) -> None:
    jobs = [submit() for _ in range(3)]
    assert [queue.get(job.id).queue_position for job in jobs] == [1, 2, 3]
    queue.cancel(jobs[0].id)
    assert [queue.get(job.id).queue_position for job in jobs] == [None, 1, 2]


def test_pages_go_through_all_jobs_newest_first(queue: JobQueue, submit: Submit) -> None:
    jobs = [submit() for _ in range(7)]
    seen, cursor, sizes = [], None, []
    while True:
        page = queue.list(limit=3, cursor=cursor)
        sizes.append(len(page.items))
        seen += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [job.id for job in reversed(jobs)]
    assert sizes == [3, 3, 1]


def test_a_page_is_stable_while_jobs_come_in(queue: JobQueue, submit: Submit) -> None:
    old = [submit() for _ in range(3)]
    page = queue.list(limit=1)
    submit()
    following = queue.list(limit=5, cursor=page.next_cursor)
    assert [job.id for job in following.items] == [old[1].id, old[0].id]


def test_lists_can_be_filtered(queue: JobQueue, submit: Submit) -> None:
    encode = submit(kind="encode", model="other")
    generate = submit(model="tiny")
    finish(queue, generate)
    assert [job.id for job in queue.list(kind="encode").items] == [encode.id]
    assert [job.id for job in queue.list(model="tiny").items] == [generate.id]
    assert [job.id for job in queue.list(state="succeeded").items] == [generate.id]
    assert [job.id for job in queue.list(state=JobState.QUEUED).items] == [encode.id]
    assert queue.list(state="failed").items == []
    assert queue.list(kind="encode", model="tiny").items == []


@pytest.mark.parametrize("state", [None, "queued"])
def test_a_page_of_large_records_ends_early_and_reads_no_other(
    queue: JobQueue, submit: Submit, redis: Redis, state: str | None
) -> None:
    request = {"latents": "1" * (PAGE_BYTES // 2 - 1000)}
    for _ in range(3):
        queue.submit(Submission("generate", "tiny", "a" * 64, request, {}, "d" * 64))
    before = redis.info()["total_net_output_bytes"]
    assert len(queue.list(state, limit=1).items) == 1
    assert redis.info()["total_net_output_bytes"] - before < PAGE_BYTES
    seen, cursor, sizes = set(), None, []
    while not sizes or cursor:
        page = queue.list(state, cursor=cursor)
        sizes.append(len(page.items))
        seen |= {job.id for job in page.items}
        cursor = page.next_cursor
    assert (len(seen), sizes) == (3, [2, 1])
    queue.submit(Submission("generate", "tiny", "a" * 64, {"latents": "1" * (PAGE_BYTES + 1)}, {}, "d" * 64))
    assert len(queue.list(state).items) == 1, "one that is too large for a page has a page of its own"


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 30, "١"])
def test_a_cursor_that_no_page_gave_is_refused(queue: JobQueue, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        queue.list(cursor=cursor)


def test_wait_returns_at_the_end_or_after_its_time(queue: JobQueue, submit: Submit) -> None:
    """Before the 2 s have passed that one read of the events may take."""
    job = submit()
    began = time.monotonic()
    assert queue.wait(job.id, 0.3).state is JobState.QUEUED
    assert 0.25 < time.monotonic() - began < 1.9
    thread = threading.Timer(0.2, finish, (queue, job))
    thread.start()
    began = time.monotonic()
    assert queue.wait(job.id, 30).state is JobState.SUCCEEDED
    assert time.monotonic() - began < 1.9
    thread.join()


def lose(queue: JobQueue, job_id: str) -> None:
    eventually(lambda: upkeep(queue).reap() and queue.get(job_id).state.is_terminal)


def lose_canceled(queue: JobQueue, job_id: str) -> None:
    queue.cancel(job_id)
    lose(queue, job_id)


def hand_back_canceled(queue: JobQueue, job_id: str) -> None:
    queue.cancel(job_id)
    deliveries(queue).hand_back(job_id, 1)


@pytest.mark.parametrize(
    "end",
    [
        lose,
        lose_canceled,
        hand_back_canceled,
        lambda queue, job_id: deliveries(queue).hand_back(job_id, 1, crashed=True),
        lambda queue, job_id: deliveries(queue).give_up(job_id, 1, JobError(code="deadline_exceeded", detail="")),
    ],
    ids=["lost", "lost and canceled", "handed back and canceled", "crashed", "too slow"],
)
def test_no_scan_outlives_its_job_however_that_ends(
    redis: Redis, settings: Settings, tmp_path: Path, submit: Submit, end: Callable[[JobQueue, str], None]
) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"max_crashes": 1}))
    job_id, scan = new_id(), tmp_path / "scan"
    scan.write_bytes(b"a scan")
    queue.results.write(f"uploads/{job_id}/scan", scan)
    submit(kind="encode", job_id=job_id, to=queue)
    deliveries(queue).claim(job_id, 1, "worker")
    end(queue, job_id)
    assert queue.get(job_id).state in (JobState.FAILED, JobState.CANCELED)
    assert queue.results.list("uploads") == []


def test_unknown_is_not_expired(redis: Redis, settings: Settings, submit: Submit, tmp_path: Path) -> None:
    queue = JobQueue(redis, settings.model_copy(update={"result_ttl_s": 1}))
    job = submit(to=queue)
    path = tmp_path / "file"
    path.write_bytes(b"volume")
    queue.results.write(f"results/{job.id}/000.nii.gz", path)
    queue.results.write(f"uploads/{job.id}/scan.nii", path)
    finish(queue, job)
    record = queue.get(job.id)
    assert record.expires_at is not None
    assert record.ended_at is not None
    assert (record.expires_at - record.ended_at).total_seconds() == 1
    time.sleep(1.1)
    upkeep(queue).reap()
    with pytest.raises(ExpiredJob):
        queue.get(job.id)
    with pytest.raises(ExpiredJob):
        queue.remove(job.id)
    with pytest.raises(UnknownJob):
        queue.get("nothing")
    assert queue.list().items == []
    assert queue.results.list("results") == queue.results.list("uploads") == []
    assert [key for key in redis.keys(f"{settings.queue_prefix}:*") if job.id.encode() in key] == [
        f"{settings.queue_prefix}:gone:{job.id}".encode()
    ]


def test_only_an_ended_job_can_be_removed(queue: JobQueue, submit: Submit, tmp_path: Path) -> None:
    job = submit()
    with pytest.raises(ResultNotReady):
        queue.remove(job.id)
    path = tmp_path / "file"
    path.write_bytes(b"volume")
    queue.results.write(f"results/{job.id}/000.nii.gz", path)
    finish(queue, job)
    queue.remove(job.id)
    with pytest.raises(UnknownJob):
        queue.get(job.id)
    assert queue.results.list("results") == []


def test_a_job_that_the_transport_lost_is_delivered_anew(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    transport(queue).forget(job.id, 1)  # as if the API had died between the record and RQ
    assert upkeep(queue).reap(patience_s=0.2) == 0
    time.sleep(0.25)
    assert upkeep(queue).reap(patience_s=0.2) == 1
    assert transport(queue).waiting() == {job.id: {2}}
    deliveries(queue).claim(job.id, 2, "worker")
    assert queue.get(job.id).attempts == 1


def test_a_job_that_waits_its_turn_is_left_alone(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    for _ in range(3):
        assert upkeep(queue).reap(patience_s=0.0) == 0
    assert transport(queue).waiting() == {job.id: {1}}


def test_reapers_in_parallel_recover_a_job_once(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    transport(queue).forget(job.id, 1)
    time.sleep(1.1)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: upkeep(queue).reap(), range(8))) == 1
    assert transport(queue).waiting() == {job.id: {2}}


def test_live_workers_are_listed_with_their_last_beat(queue: JobQueue) -> None:
    deliveries(queue).beat("one", {"device": "cpu"})
    (worker,) = overview(queue).workers()
    assert (worker.name, worker.about) == ("one", {"device": "cpu"})
    time.sleep(1.1)
    assert list(overview(queue).workers()) == []
    deliveries(queue).beat("one", {"device": "cpu"})
    deliveries(queue).retire("one")
    assert list(overview(queue).workers()) == []


@pytest.mark.fault
def test_an_accepted_job_survives_a_killed_server(own_valkey: ValkeyProcess, settings: Settings) -> None:
    own = settings.model_copy(update={"redis_url": Settings(redis_url=own_valkey.url).redis_url})
    queue = JobQueue(connect(own), own)
    assert overview(queue).durable()
    job = queue.submit(Submission("generate", "tiny", "a" * 64, {"seed": 1}, {"seed": 1}, "d" * 64))
    own_valkey.kill()
    assert not overview(queue).ping()
    with pytest.raises(QueueUnavailable) as failure:
        queue.get(job.id)
    assert "/" not in failure.value.detail
    own_valkey.start()
    assert queue.get(job.id) == job
    assert transport(queue).waiting() == {job.id: {1}}
    queue.redis.close()


@pytest.mark.fault
def test_a_server_that_is_full_refuses_clearly(own_valkey: ValkeyProcess, settings: Settings) -> None:
    own = settings.model_copy(update={"redis_url": Settings(redis_url=own_valkey.url).redis_url})
    queue = JobQueue(connect(own), own)
    queue.redis.config_set("maxmemory", 1)
    with pytest.raises(QueueUnavailable):
        queue.submit(Submission("generate", "tiny", "a" * 64, {}, {}, "d" * 64))
    queue.redis.config_set("maxmemory", 0)
    assert queue.list().items == []
    queue.redis.close()


def test_a_server_that_may_lose_jobs_is_refused(own_valkey: ValkeyProcess, settings: Settings) -> None:
    own = settings.model_copy(update={"redis_url": Settings(redis_url=own_valkey.url).redis_url})
    client = connect(own)
    check_server(client, own)
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(QueueUnavailable, match="noeviction"):
        check_server(client, own)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("appendonly", "no")
    with pytest.raises(QueueUnavailable, match="appendonly"):
        check_server(client, own)
    queue = JobQueue(client, own)
    assert not overview(queue).durable()
    with pytest.raises(QueueUnavailable):
        queue.submit(Submission("generate", "tiny", "a" * 64, {}, {}, "d" * 64, idempotency_key="key"))
    assert queue.list().items == []
    assert transport(queue).waiting() == {}
    assert client.keys("*:idem:*") == []
    ephemeral = own.model_copy(update={"ephemeral": True})
    check_server(client, ephemeral)
    JobQueue(client, ephemeral).submit(Submission("generate", "tiny", "a" * 64, {}, {}, "d" * 64))
    client.close()


def test_a_server_that_syncs_its_log_once_per_second_is_warned_of(
    own_valkey: ValkeyProcess, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    own = settings.model_copy(update={"redis_url": Settings(redis_url=own_valkey.url).redis_url})
    with connect(own) as client:
        check_server(client, own)
        assert "appendfsync to always" in caplog.text
        caplog.clear()
        client.config_set("appendfsync", "always")
        check_server(client, own)
        client.acl_setuser("plain", enabled=True, nopass=True, keys="*", commands=["+@all", "-config"])
        client.config_set("appendfsync", "everysec")
        url = f"{own_valkey.url}?username=plain&password=any"
        with connect(own.model_copy(update={"redis_url": Settings(redis_url=url).redis_url})) as plain:
            check_server(plain, own)
        assert "appendfsync" not in caplog.text
