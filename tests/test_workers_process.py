"""Real worker processes under a real supervisor, and what becomes of jobs when they are killed, frozen or stopped."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import PLAY_WORKER, ValkeyProcess, eventually, supervised
from rq.job import Job

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.state import JobRecord, JobState, Manifest
from workers.loop import job_class
from workers.supervisor import devices, remove_orphaned_scratch, settings_line

Submit = Callable[..., JobRecord]
Play = Callable[..., object]


def pid_of(queue: JobQueue) -> int:
    """Of the one worker that is alive."""
    workers = eventually(queue.workers)
    return int(workers[0].about["pid"])


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def running(queue: JobQueue, job: JobRecord) -> bool:
    return queue.get(job.id).state is JobState.RUNNING


def test_a_job_runs_and_its_files_are_published(queue: JobQueue, submit: Submit, play: Play) -> None:
    job = submit({"acts": ["keep:000.nii.gz", "keep:001.nii.gz"]})
    with play():
        record = queue.wait(job.id, 8)
    assert record.state is JobState.SUCCEEDED
    assert record.progress.done == record.progress.total == 2
    assert record.timings_s.keys() == {"queued", "forward", "store", "total"}
    assert {stage for stage, _ in queue.counts().histogram("stage")} == {"forward", "store"}
    for entry in record.results:
        assert entry.url == f"/jobs/{job.id}/results/{entry.name}"
        assert queue.results.verify(f"results/{job.id}/{entry.name}", entry.sha256)
        assert queue.results.size(f"results/{job.id}/{entry.name}") == entry.size_bytes


def test_one_process_keeps_its_models_for_all_jobs(queue: JobQueue, submit: Submit, play: Play) -> None:
    jobs = [submit({"acts": ["step"]}) for _ in range(5)]
    with play():
        pids = {queue.wait(job.id, 8).metrics["pid"] for job in jobs}
    assert len(pids) == 1


def test_an_upload_reaches_the_work_and_goes_when_the_job_ends(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path
) -> None:
    (tmp_path / "scan").write_text("from-the-scan")
    key = f"uploads/{queue.new_id()}/scan.nii"
    queue.results.write(key, tmp_path / "scan")
    job_id = key.split("/")[1]
    queue.submit("encode", "tiny", "a" * 64, {}, {"acts": [], "upload": key}, None, "d" * 64, job_id=job_id)
    with play():
        record = queue.wait(job_id, 8)
        assert [entry.name for entry in record.results] == ["from-the-scan"]
        eventually(lambda: queue.results.list("uploads") == [])


def test_a_failing_job_says_nothing_of_the_machine(queue: JobQueue, submit: Submit, play: Play) -> None:
    job, following = submit({"acts": ["keep:000.nii.gz", "raise"]}), submit({"acts": ["step"]})
    with play():
        record = queue.wait(job.id, 8)
        assert queue.wait(following.id, 8).state is JobState.SUCCEEDED
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.code == "internal_error"
    assert "/" not in record.error.detail
    assert [entry.name for entry in record.results] == ["000.nii.gz"]


def test_cancel_takes_effect_between_steps_and_keeps_what_is_finished(
    queue: JobQueue, submit: Submit, play: Play
) -> None:
    job = submit({"acts": ["keep:000.nii.gz"] + ["sleep:0.2"] * 40})
    with play():
        eventually(lambda: queue.get(job.id).results)
        queue.cancel(job.id)
        began = time.monotonic()
        record = queue.wait(job.id, 8)
        assert time.monotonic() - began < 1.5
    assert record.state is JobState.CANCELED
    assert [entry.name for entry in record.results] == ["000.nii.gz"]
    assert queue.results.verify(f"results/{job.id}/000.nii.gz", record.results[0].sha256)


@pytest.mark.fault
def test_a_killed_workers_job_is_run_again(queue: JobQueue, submit: Submit, play: Play, tmp_path: Path) -> None:
    job = submit({"acts": ["keep:000.nii.gz", "once:sleep:30", "keep:001.nii.gz"], "marks": str(tmp_path)})
    with play():
        eventually(lambda: queue.get(job.id).results)
        first = pid_of(queue)
        os.kill(first, signal.SIGKILL)
        record = queue.wait(job.id, 8)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
    assert record.metrics is not None
    assert record.metrics["pid"] != first
    assert [entry.name for entry in record.results] == ["000.nii.gz", "001.nii.gz"]


@pytest.mark.fault
def test_a_job_that_always_kills_its_worker_is_given_up_and_others_proceed(
    queue: JobQueue, submit: Submit, play: Play
) -> None:
    killer, other = submit({"acts": ["kill"]}), submit({"acts": ["step"]})
    with play(lease_s=0.5):
        record = queue.wait(killer.id, 30)
        assert queue.wait(other.id, 8).state is JobState.SUCCEEDED
    assert (record.state, record.attempts) == (JobState.FAILED, 3)
    assert record.error is not None
    assert record.error.code == "worker_lost"


@pytest.mark.fault
def test_a_frozen_worker_that_wakes_up_publishes_nothing(
    queue: JobQueue, submit: Submit, settings: Settings, tmp_path: Path
) -> None:
    job = submit({"acts": ["once:freeze", "once:sleep:0.5", "keep:000.nii.gz"], "marks": str(tmp_path)})
    patient = settings.model_copy(update={"lease_s": 30.0})  # its supervisor would not notice, and kill it
    with supervised(patient):
        eventually(lambda: (tmp_path / "0").exists())
        frozen = pid_of(JobQueue(queue.redis, patient))
        with queue.redis.pipeline() as pipe:  # its lease is over
            pipe.zadd(queue.records.key("leases"), {job.id: 1})
            pipe.hset(queue.records.key("job", job.id), "lease", 1)
            pipe.execute()
        assert queue.reap() == 1
        with supervised(settings):
            record = queue.wait(job.id, 8)
            assert record.state is JobState.SUCCEEDED
            os.kill(frozen, signal.SIGCONT)
            time.sleep(1.0)
        assert queue.get(job.id) == record
        assert record.metrics is not None
        assert record.metrics["pid"] != frozen
        assert not is_gone(frozen)


@pytest.mark.fault
def test_a_silent_worker_is_killed_and_replaced(queue: JobQueue, submit: Submit, play: Play) -> None:
    with play():
        frozen = pid_of(queue)
        os.kill(frozen, signal.SIGSTOP)
        eventually(lambda: is_gone(frozen))
        job = submit({"acts": ["step"]})

        def is_done() -> bool:
            # The server may still hand a job to the connection of a worker killed a moment ago: then it is in no list.
            queue.reap(patience_s=0.2)
            return queue.get(job.id).state.is_terminal

        eventually(is_done)
        assert queue.get(job.id).state is JobState.SUCCEEDED


@pytest.mark.fault
def test_a_job_that_rq_gave_to_a_frozen_worker_is_delivered_anew(queue: JobQueue, submit: Submit, play: Play) -> None:
    with play():
        frozen = pid_of(queue)
        eventually(lambda: queue.redis.hget(b"rq:worker:" + queue.workers()[0].name.encode(), "state") == b"idle")
        time.sleep(0.1)
        os.kill(frozen, signal.SIGSTOP)
        job = submit({"acts": ["step"]})
        eventually(lambda: is_gone(frozen))
        assert queue.transport.waiting() == {}
        eventually(lambda: queue.reap(patience_s=0.2))
        assert queue.wait(job.id, 8).attempts == 1


@pytest.mark.fault
def test_a_job_that_hangs_in_c_is_ended_by_its_deadline(queue: JobQueue, submit: Submit, play: Play) -> None:
    job, other = submit({"acts": ["hang"]}), submit({"acts": ["step"]})
    with play(job_timeout_s=1.0):
        record = queue.wait(job.id, 8)
        assert queue.wait(other.id, 8).state is JobState.SUCCEEDED
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.code == "deadline_exceeded"
    assert record.attempts == 1


@pytest.mark.fault
def test_a_lost_device_costs_the_process_and_counts_against_the_job(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path
) -> None:
    once = submit({"acts": ["once:lost", "step"], "marks": str(tmp_path)})
    with play():
        record = queue.wait(once.id, 8)
        assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)


@pytest.mark.fault
def test_a_stopped_worker_finishes_the_sample_in_hand_and_hands_back_the_rest(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path
) -> None:
    acts = ["once:sleep:0.7", "mark", "once:sleep:0.7"]
    job = submit({"acts": acts, "marks": str(tmp_path)})
    with play():
        eventually(lambda: (tmp_path / "0").exists())
        os.kill(pid_of(queue), signal.SIGTERM)
        eventually(lambda: queue.get(job.id).attempts == 1 and not running(queue, job))
        assert not (tmp_path / "1").exists()
        record = queue.wait(job.id, 8)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)


@pytest.mark.fault
def test_a_sample_longer_than_the_grace_is_handed_back(
    queue: JobQueue, submit: Submit, settings: Settings, tmp_path: Path
) -> None:
    job = submit({"acts": ["once:sleep:30", "step"], "marks": str(tmp_path)})
    short = settings.model_copy(update={"shutdown_grace_s": 0.5})
    with supervised(short) as supervisor:
        eventually(lambda: (tmp_path / "0").exists())
        process = supervisor.seats[0].process
        assert process is not None
        process.terminate()
        assert process.wait(3) == 0
        assert queue.wait(job.id, 8).state is JobState.SUCCEEDED


@pytest.mark.fault
def test_stopping_everything_leaves_no_process_no_file_and_no_lost_job(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path
) -> None:
    job = submit({"acts": ["litter", "once:sleep:0.5"] + ["sleep:0.3"] * 20, "marks": str(tmp_path)})
    with play(count=2) as supervisor:
        eventually(lambda: len(queue.workers()) == 2)
        pids = [seat.process.pid for seat in supervisor.seats]
        folders = [seat.scratch for seat in supervisor.seats]
        eventually(lambda: (tmp_path / "1").exists())
        assert any(list(folder.iterdir()) for folder in folders)
    assert all(is_gone(pid) for pid in pids)
    assert not any(folder.exists() for folder in folders)
    assert queue.get(job.id).state is JobState.QUEUED
    assert list(queue.workers()) == []


@pytest.mark.fault
def test_workers_go_with_a_killed_supervisor(queue: JobQueue, submit: Submit, settings: Settings) -> None:
    script = """
import sys
from jobs.settings import Settings
from workers.supervisor import Supervisor
Supervisor(Settings.model_validate_json(sys.stdin.readline()), command=sys.argv[1:]).run()
"""
    process = subprocess.Popen([sys.executable, "-c", script, *PLAY_WORKER], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(settings_line(settings))
    process.stdin.close()
    worker = pid_of(queue)
    job = submit({"acts": ["sleep:30"]})
    eventually(lambda: running(queue, job))
    process.kill()
    process.wait()
    eventually(lambda: is_gone(worker), 2)
    litter = list(Path(tempfile.gettempdir()).glob(f"voxelsmith-worker-{process.pid}-*"))
    assert litter
    remove_orphaned_scratch()
    assert not any(folder.exists() for folder in litter)
    eventually(queue.reap)
    assert queue.get(job.id).state is JobState.QUEUED


@pytest.mark.fault
def test_work_finished_by_a_lost_worker_is_published_without_doing_it_again(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    job = submit({"acts": ["mark"], "marks": str(marks)})
    path = tmp_path / "manifest.json"
    manifest = Manifest(metrics={"pid": 0})
    body = f'{{"digest": "{"d" * 64}", "model_sha256": "{"a" * 64}", "manifest": {manifest.model_dump_json()}}}'
    path.write_text(body)
    queue.results.write(f"results/{job.id}/manifest.json", path)
    with play():
        record = queue.wait(job.id, 8)
    assert (record.state, record.metrics) == (JobState.SUCCEEDED, {"pid": 0})
    assert list(marks.iterdir()) == []


@pytest.mark.fault
def test_a_job_survives_a_killed_server_that_comes_back(
    own_valkey: ValkeyProcess, submit: Submit, settings: Settings
) -> None:
    own = settings.model_copy(update={"redis_url": Settings(redis_url=own_valkey.url).redis_url})
    queue = JobQueue(connect(own), own)
    with supervised(own):
        job = submit({"acts": ["sleep:0.3"] * 8 + ["keep:000.nii.gz"]}, to=queue)
        eventually(lambda: running(queue, job))
        own_valkey.kill()
        time.sleep(0.7)
        own_valkey.start()
        record = queue.wait(job.id, 8)
        assert record.state is JobState.SUCCEEDED
        assert queue.results.verify(f"results/{job.id}/000.nii.gz", record.results[0].sha256)
        following = submit({"acts": ["step"]}, to=queue)
        assert queue.wait(following.id, 8).state is JobState.SUCCEEDED
    queue.redis.close()


def test_many_jobs_leave_nothing_behind_but_their_records(
    own_valkey: ValkeyProcess, submit: Submit, settings: Settings
) -> None:
    own = settings.model_copy(update={"redis_url": Settings(redis_url=own_valkey.url).redis_url, "lease_s": 5.0})
    queue = JobQueue(connect(own), own)
    with supervised(own) as supervisor:

        def run(count: int) -> tuple[int, list[bytes]]:
            """Descriptors of the worker and keys of the server after so many jobs."""
            jobs = [submit({"acts": ["keep:000.nii.gz"]}, to=queue) for _ in range(count)]
            assert {queue.wait(job.id, 60).state for job in jobs} == {JobState.SUCCEEDED}
            for job in jobs:
                queue.remove(job.id)
            eventually(lambda: not queue.redis.keys("rq:job:*"))  # RQ tidies up after our record is final
            process, scratch = supervisor.seats[0].process, supervisor.seats[0].scratch
            assert not any(scratch.iterdir())
            return len(list(Path(f"/proc/{process.pid}/fd").iterdir())), sorted(queue.redis.keys("*"))

        before = run(5)
        assert run(60) == before
    assert queue.results.list("results") == []
    queue.redis.close()


def test_a_worker_refuses_a_server_that_may_lose_jobs(own_valkey: ValkeyProcess, settings: Settings) -> None:
    own = settings.model_copy(update={"redis_url": Settings(redis_url=own_valkey.url).redis_url})
    with supervised(own) as supervisor:
        eventually(lambda: supervisor.seats[0].heard)
        client = connect(own)
        client.config_set("appendonly", "no")
        client.close()
        process = supervisor.seats[0].process
        assert process is not None
        process.kill()
        eventually(lambda: supervisor.seats[0].is_unfit)


def test_an_rq_job_can_name_only_what_is_allowed(queue: JobQueue) -> None:
    called: list[int] = []
    allowed = job_class({"workers.tasks.run": called.append})
    rq = queue.transport.rq
    rq.enqueue_call("workers.tasks.run", args=(7,), job_id="fine", on_success=None)
    rq.enqueue_call("os.system", args=("true",), job_id="foreign")
    queue.redis.hset("rq:job:fine", "success_callback_name", "os.getcwd")
    fine: Job = allowed.fetch("fine", connection=queue.redis, serializer=rq.serializer)
    foreign: Job = allowed.fetch("foreign", connection=queue.redis, serializer=rq.serializer)
    fine.perform()
    assert called == [7]
    assert fine.success_callback is None
    with pytest.raises(PermissionError):
        foreign.perform()
    rq.empty()


def test_a_foreign_rq_job_does_not_stop_the_worker(queue: JobQueue, submit: Submit, play: Play) -> None:
    queue.transport.rq.enqueue_call("os.abort", job_id="foreign", failure_ttl=1)
    queue.redis.hset("rq:job:broken", mapping={"data": b"\x00\xff", "created_at": "?"})
    queue.redis.rpush(queue.transport.rq.key, "broken")
    job = submit({"acts": ["step"]})
    with play():
        assert queue.wait(job.id, 8).state is JobState.SUCCEEDED


def test_the_supervisor_loads_no_torch() -> None:
    script = "import sys, workers.supervisor, workers.process; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_devices_without_a_driver_are_the_cpu() -> None:
    assert devices("cpu") == ["cpu"]
    assert devices("cuda:1") == ["cuda:1"]
    assert devices("all")[0] in ("cpu", "cuda:0")


def test_settings_reach_a_worker_whole(settings: Settings) -> None:
    assert Settings.model_validate_json(settings_line(settings)) == settings
