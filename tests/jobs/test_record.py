"""The job record: who may write what, and that every write is safe to repeat."""

import queue as queues
import time
from collections.abc import Callable
from functools import partial

import pytest

from contract.errors import LeaseLost, UnknownJob, UnreadableRecord
from contract.state import JobError, JobKind, JobRecord, JobState, Manifest, Progress, ResultFile
from jobs.events import Event
from jobs.queue import JobQueue
from jobs.record import RECORD_VERSION
from tests.support.sides import deliveries, scripts, transport, upkeep

Submit = Callable[..., JobRecord]


def entry(name: str = "000.nii.gz") -> ResultFile:
    return ResultFile(name=name, index=0, media_type="application/gzip", size_bytes=1, sha256="0" * 64, shape=[1, 2, 3])


def test_a_claim_makes_the_job_running_and_gives_its_payload(queue: JobQueue, submit: Submit) -> None:
    job = submit({"extra": [1, 2]})
    claim = deliveries(queue).claim(job.id, 1, "worker")
    record = queue.get(job.id)
    assert (record.state, record.attempts, record.queue_position) == (JobState.RUNNING, 1, None)
    assert claim.payload["extra"] == [1, 2]
    assert record.started_at == claim.started_at >= record.created_at


def test_a_repeated_claim_of_the_same_worker_counts_once(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    assert deliveries(queue).claim(job.id, 1, "worker") == deliveries(queue).claim(job.id, 1, "worker")
    assert queue.get(job.id).attempts == 1


def test_a_delivery_queued_twice_is_claimed_once(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "one")
    with pytest.raises(LeaseLost):
        deliveries(queue).claim(job.id, 1, "other")


@pytest.mark.parametrize("delivery", [0, 2])
def test_another_delivery_is_not_due(queue: JobQueue, submit: Submit, delivery: int) -> None:
    job = submit()
    with pytest.raises(LeaseLost):
        deliveries(queue).claim(job.id, delivery, "worker")
    with pytest.raises(LeaseLost):
        deliveries(queue).claim("unknown", 1, "worker")


def test_the_time_left_is_told_while_the_job_runs_and_no_longer(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    deliveries(queue).progress(job.id, 1, "scale 2/2", 3, 28, 12.4)
    assert queue.get(job.id).progress == Progress(done=3, total=28, left_s=12.0)
    deliveries(queue).progress(job.id, 1, "write", 3, 28)
    assert queue.get(job.id).progress == Progress(done=3, total=28)
    deliveries(queue).progress(job.id, 1, "scale 2/2", 27, 28, 0.0)
    told = [event.data for event in queue.events.read({job.id: "0"}, 1)[job.id] if event.type == "progress"]
    assert [data.get("left_s") for data in told] == [12, None, 0]
    deliveries(queue).hand_back(job.id, 1)
    assert queue.get(job.id).progress.left_s is None
    delivery = deliveries(queue).claim(job.id, 2, "worker").delivery
    deliveries(queue).progress(job.id, delivery, "scale 2/2", 27, 28, 5.0)
    deliveries(queue).finish(job.id, delivery, JobState.SUCCEEDED, Manifest())
    assert queue.get(job.id).progress == Progress(done=28, total=28)


def test_a_late_commit_of_an_expired_lease_is_refused(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    time.sleep(1.1)
    with pytest.raises(LeaseLost):
        deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest())
    assert queue.get(job.id).state is JobState.RUNNING


def test_after_redelivery_the_old_worker_can_change_nothing(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "old")
    time.sleep(1.1)
    assert upkeep(queue).reap() == 1
    deliveries(queue).claim(job.id, 2, "new")
    for write in (
        lambda: deliveries(queue).renew(job.id, 1),
        lambda: deliveries(queue).progress(job.id, 1, "forward", 1, 2),
        lambda: deliveries(queue).keep(job.id, 1, Manifest(results=[entry()]), entry()),
        lambda: deliveries(queue).hand_back(job.id, 1),
        lambda: deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest()),
    ):
        with pytest.raises(LeaseLost):
            write()
    record = queue.get(job.id)
    assert (record.state, record.results, record.progress.total) == (JobState.RUNNING, [], 1)


def test_a_renewed_lease_outlives_its_first_end(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    for _ in range(3):
        time.sleep(0.5)
        assert not deliveries(queue).renew(job.id, 1)
    assert upkeep(queue).reap() == 0
    deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest())
    assert queue.get(job.id).state is JobState.SUCCEEDED


def test_three_lost_workers_fail_the_job_for_good(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    for delivery in (1, 2, 3):
        deliveries(queue).claim(job.id, delivery, f"worker-{delivery}")
        time.sleep(1.05)
        upkeep(queue).reap()
    record = queue.get(job.id)
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.code == "worker_lost"
    assert transport(queue).waiting() == {}
    assert upkeep(queue).reap() == 0


def test_handing_back_counts_no_crash_and_can_be_repeated(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    for delivery in range(1, 6):
        deliveries(queue).claim(job.id, delivery, "worker")
        assert deliveries(queue).hand_back(job.id, delivery) == delivery + 1
        assert deliveries(queue).hand_back(job.id, delivery) == delivery + 1
    assert queue.get(job.id).state is JobState.QUEUED


def test_handing_back_after_a_crash_counts_it(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    for delivery in (1, 2, 3):
        deliveries(queue).claim(job.id, delivery, "worker")
        deliveries(queue).hand_back(job.id, delivery, crashed=True)
    record = queue.get(job.id)
    assert record.error is not None
    assert record.error.code == "worker_lost"


def test_a_queued_job_is_canceled_at_once(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    record = queue.cancel(job.id)
    assert record.state is JobState.CANCELED
    assert record.ended_at is not None
    assert transport(queue).waiting() == {}
    with pytest.raises(LeaseLost):
        deliveries(queue).claim(job.id, 1, "worker")


def test_a_running_job_hears_of_its_cancel_and_keeps_what_it_made(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    assert not deliveries(queue).keep(job.id, 1, Manifest(results=[entry()]), entry())
    assert queue.cancel(job.id).state is JobState.RUNNING
    assert deliveries(queue).renew(job.id, 1)
    assert deliveries(queue).progress(job.id, 1, "forward", 1, 2)
    deliveries(queue).finish(job.id, 1, JobState.CANCELED)
    record = queue.get(job.id)
    assert (record.state, [file.name for file in record.results]) == (JobState.CANCELED, ["000.nii.gz"])


@pytest.mark.parametrize("kind", ["generate", "edit"])
@pytest.mark.parametrize("final", [JobState.CANCELED, JobState.FAILED])
@pytest.mark.parametrize(
    ("done", "total", "so_far", "last", "progress"),
    [
        (1, 4, 2, None, Progress(done=2, total=4)),  # the next one began, and two had been published
        (2, 4, 2, 3, Progress(done=3, total=4)),  # the third was in flight
        (2, 4, 1, None, Progress(done=1, total=4)),  # the second was made and not kept
        (0, 1, 0, None, Progress(done=0, total=1)),
        (0, 1, 2, None, Progress(done=2, total=2)),  # of an earlier attempt; this one had not counted its volumes yet
    ],
)
def test_a_job_that_ends_early_has_done_as_many_as_it_keeps(
    queue: JobQueue,
    submit: Submit,
    kind: JobKind,
    final: JobState,
    done: int,
    total: int,
    so_far: int,
    last: int | None,
    progress: Progress,
) -> None:
    def made(count: int) -> Manifest:
        return Manifest(results=[entry(f"{k:03}.nii.gz") for k in range(count)])

    job = submit(kind=kind, volumes=total)
    deliveries(queue).claim(job.id, 1, "worker")
    if so_far:
        deliveries(queue).keep(job.id, 1, made(so_far), None)
    deliveries(queue).progress(job.id, 1, "forward", done, total)
    deliveries(queue).finish(job.id, 1, final, made(last) if last else None)
    assert queue.get(job.id).progress == progress


@pytest.mark.parametrize("kind", ["encode", "fit_direction"])
def test_a_descent_that_ends_early_keeps_its_own_count(queue: JobQueue, submit: Submit, kind: JobKind) -> None:
    job = submit(kind=kind, volumes=0)
    deliveries(queue).claim(job.id, 1, "worker")
    deliveries(queue).progress(job.id, 1, "refine", 70, 100)
    deliveries(queue).finish(job.id, 1, JobState.CANCELED, Manifest(results=[entry()]))
    assert queue.get(job.id).progress == Progress(done=70, total=100)


def test_a_job_that_is_canceled_on_its_way_back_counts_what_it_keeps(queue: JobQueue, submit: Submit) -> None:
    job = submit(volumes=3)
    deliveries(queue).claim(job.id, 1, "worker")
    deliveries(queue).progress(job.id, 1, "forward", 0, 3)
    deliveries(queue).keep(job.id, 1, Manifest(results=[entry()]), entry())
    deliveries(queue).hand_back(job.id, 1)
    record = queue.cancel(job.id)
    assert (record.state, record.progress) == (JobState.CANCELED, Progress(done=1, total=3))


def test_a_canceled_job_whose_worker_is_lost_is_not_run_again(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    queue.cancel(job.id)
    time.sleep(1.1)
    upkeep(queue).reap()
    assert queue.get(job.id).state is JobState.CANCELED
    assert transport(queue).waiting() == {}


@pytest.mark.parametrize("final", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED])
def test_a_final_state_never_changes(queue: JobQueue, submit: Submit, final: JobState) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    deliveries(queue).finish(job.id, 1, final, Manifest(results=[entry()]))
    before = queue.get(job.id)
    deliveries(queue).finish(job.id, 1, final, Manifest())  # the repeat after a lost reply is fine, and does nothing
    for other in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED} - {final}:
        with pytest.raises(LeaseLost):
            deliveries(queue).finish(job.id, 1, other, error=JobError(code="x", detail="y"))
    with pytest.raises(LeaseLost):
        deliveries(queue).hand_back(job.id, 1)
    with pytest.raises(LeaseLost):
        deliveries(queue).claim(job.id, 1, "worker")
    queue.cancel(job.id)
    time.sleep(1.1)
    upkeep(queue).reap()
    assert queue.get(job.id) == before


def test_a_cancel_that_was_accepted_wins_over_a_success(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    assert queue.cancel(job.id).state is JobState.RUNNING
    deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest(results=[entry()], metrics={"a": 1}))
    record = queue.get(job.id)
    assert record.state is JobState.CANCELED
    assert (record.results, record.metrics) == ([entry()], {"a": 1})
    deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest())  # the repeat after a lost reply
    assert queue.get(job.id) == record
    assert [event.data for event in queue.events.read({job.id: "0"}, 0.1)[job.id] if event.type == "end"] == [
        {"state": "canceled"}
    ]


def test_a_failure_is_told_even_where_a_cancel_was_accepted(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "worker")
    queue.cancel(job.id)
    deliveries(queue).finish(job.id, 1, JobState.FAILED, error=JobError(code="x", detail="y"))
    assert queue.get(job.id).state is JobState.FAILED


def test_a_jump_of_the_queues_clock_removes_nothing_for_an_hour(
    queue: JobQueue, submit: Submit, caplog: pytest.LogCaptureFixture
) -> None:
    """The server's clock cannot be set here: what is set is what was seen of it before."""
    job = submit()
    queue.cancel(job.id)
    assert upkeep(queue).expire() == []
    queue.redis.zadd(scripts(queue).key("expiring"), {job.id: 1})
    clock, hour = scripts(queue).key("clock"), 3600 * 10**6
    queue.redis.hincrby(clock, "seen", -8 * 24 * hour)
    for _ in range(3):
        assert upkeep(queue).expire() == []
    assert caplog.text.count("nothing expires for 3600 s") == 1
    assert queue.get(job.id).state is JobState.CANCELED
    queue.redis.hincrby(clock, "jumped", 2 * hour)  # the clock was set right again
    queue.redis.zadd(scripts(queue).key("expiring"), {job.id: 2**60})
    assert upkeep(queue).expire() == []
    assert not queue.redis.hexists(clock, "jumped")
    queue.redis.zadd(scripts(queue).key("expiring"), {job.id: 1})
    queue.redis.hincrby(clock, "seen", -8 * 24 * hour)
    assert upkeep(queue).expire() == []
    queue.redis.hincrby(clock, "jumped", -hour)  # it was right, and an hour has passed
    assert upkeep(queue).expire() == [job.id]


ODD = {
    "kind": "dance",
    "state": "asleep",
    "created": "soon",
    "expires": "9" * 30,
    "attempts": "many",
    "manifest": '{"results": [], "mood": "good"}',
    "error": "[]",
    "priority": "\udcff",
    "request": '{"a": "\\ud800"}',
    "model": b"\xff",
    "volumes": "1.5",
}


@pytest.mark.parametrize("name", ODD)
def test_an_unreadable_record_is_listed_as_such_and_spoils_no_list(queue: JobQueue, submit: Submit, name: str) -> None:
    before, odd, after = submit(), submit(), submit()
    value = ODD[name]
    written = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    queue.redis.hset(scripts(queue).key("job", odd.id), name, written)
    page = queue.list()
    assert [record.id for record in page.items] == [after.id, before.id]
    assert [entry.id for entry in page.unreadable] == [odd.id]
    assert page.model_dump_json()
    for ask in (queue.get, queue.document):
        with pytest.raises(UnreadableRecord):
            ask(odd.id)
    upkeep(queue).reap()
    assert len(queue.list(limit=1).items) + len(queue.list(limit=1).unreadable) == 1


def test_a_record_without_its_fields_is_unreadable(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    queue.redis.hdel(scripts(queue).key("job", job.id), "created", "attempts")
    assert [entry.id for entry in queue.list().unreadable] == [job.id]


def test_a_listener_of_an_unreadable_record_is_let_go_and_others_go_on(queue: JobQueue, submit: Submit) -> None:
    odd, job = submit(), submit()
    told: queues.Queue[tuple[str, Event | None]] = queues.Queue()
    leaves = [queue.relay.listen(one.id, None, partial(_tell, told, one.id)) for one in (odd, job)]
    queue.redis.hset(scripts(queue).key("job", odd.id), "kind", "dance")
    queue.cancel(job.id)
    with pytest.raises(UnreadableRecord):
        queue.cancel(odd.id)
    ended: set[str] = set()
    kinds: list[str] = []
    while len(ended) < 2:
        job_id, event = told.get(timeout=60)
        ended |= {job_id} if event is None else set()
        kinds += [event.type] if event is not None and job_id == job.id else []
    for leave in leaves:
        leave()
    queue.relay.close()
    assert kinds[-1] == "end"


def _tell(told: "queues.Queue[tuple[str, Event | None]]", job_id: str, event: Event | None) -> None:
    told.put((job_id, event))


def test_cancel_of_a_job_that_never_was(queue: JobQueue) -> None:
    with pytest.raises(UnknownJob):
        queue.cancel("nothing")
    with pytest.raises(UnknownJob):
        queue.remove("nothing")
    with pytest.raises(UnknownJob):
        queue.wait("nothing", 1)


def test_a_record_of_a_later_version_is_left_to_those_who_know_it(queue: JobQueue, submit: Submit) -> None:
    job = submit()
    queue.redis.hset(scripts(queue).key("job", job.id), "version", RECORD_VERSION + 1)
    with pytest.raises(LeaseLost):
        deliveries(queue).claim(job.id, 1, "worker")
    with pytest.raises(UnreadableRecord):
        queue.get(job.id)
    queue.redis.hdel(scripts(queue).key("job", job.id), "version", "volumes")  # as records were before they had one
    assert queue.get(job.id).state is JobState.QUEUED
    assert deliveries(queue).claim(job.id, 1, "worker").id == job.id


def test_a_record_says_from_its_acceptance_on_how_many_volumes_it_will_have(queue: JobQueue, submit: Submit) -> None:
    job = submit(volumes=3)
    assert (job.volumes, job.progress) == (3, Progress(done=0, total=3))
