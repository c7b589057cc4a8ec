"""Workers that are killed, frozen, stopped, hang or lose their device: what becomes of their jobs, and what is left."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.state import JobRecord, JobState, Manifest
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import new_id
from tests.support.invariants import Invariants, recover, wait_until_gone
from tests.support.processes import PLAY_WORKER, eventually, is_frozen, pid_of, running, supervised
from tests.support.ready import is_alive
from tests.support.sides import overview, scripts, transport, upkeep
from tests.support.tracing import is_idle
from workers.supervisor import FOREIGN_AGE_S, remove_orphaned_scratch, settings_line

pytestmark = pytest.mark.fault
Submit = Callable[..., JobRecord]
Play = Callable[..., object]


def test_a_killed_workers_job_is_run_again(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path, invariants: Invariants
) -> None:
    job = submit({"acts": ["keep:000.nii.gz", "once:sleep:30", "keep:001.nii.gz"], "marks": str(tmp_path)})
    with play(lease_s=3.0):
        eventually(lambda: (tmp_path / "1").exists())
        first = pid_of(queue)
        os.kill(first, signal.SIGKILL)
        record = queue.wait(job.id, 30)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
    assert record.metrics is not None
    assert record.metrics["pid"] != first
    assert [entry.name for entry in record.results] == ["000.nii.gz", "001.nii.gz"]
    invariants.hold(queue, [job.id])


def test_a_job_that_always_kills_its_worker_is_given_up_and_others_proceed(
    queue: JobQueue, submit: Submit, play: Play, invariants: Invariants
) -> None:
    killer, other = submit({"acts": ["keep:000.nii.gz", "kill"]}), submit({"acts": ["keep:000.nii.gz"]})
    with play():
        recover(queue, [killer.id, other.id])
        record = queue.get(killer.id)
        assert queue.get(other.id).state is JobState.SUCCEEDED
    assert (record.state, record.attempts) == (JobState.FAILED, 3)
    assert record.error is not None
    assert record.error.code == "worker_lost"
    invariants.hold(queue, [killer.id, other.id])


def test_a_frozen_worker_that_wakes_up_publishes_nothing(
    queue: JobQueue, submit: Submit, settings: Settings, tmp_path: Path, invariants: Invariants
) -> None:
    job = submit({"acts": ["once:freeze", "once:sleep:0.5", "keep:000.nii.gz"], "marks": str(tmp_path)})
    patient = settings.model_copy(update={"lease_s": 30.0})  # its supervisor would not notice, and kill it
    slow = JobQueue(queue.redis, patient)
    with supervised(patient):
        eventually(lambda: (tmp_path / "0").exists())
        (sleeper,) = overview(slow).workers()
        frozen = int(sleeper.about["pid"])
        eventually(lambda: is_frozen(frozen))  # or it might still renew its lease
        with queue.redis.pipeline() as pipe:  # its lease is over
            pipe.zadd(scripts(queue).key("leases"), {job.id: 1})
            pipe.hset(scripts(queue).key("job", job.id), "lease", 1)
            pipe.execute()
        upkeep(queue).reap()  # unless the supervisor's reaper has just been there
        assert queue.get(job.id).state is JobState.QUEUED
        with supervised(settings):
            recover(queue, [job.id])
            record = queue.get(job.id)
            assert record.state is JobState.SUCCEEDED
            os.kill(frozen, signal.SIGCONT)
            eventually(lambda: is_idle(slow, sleeper.name))
        assert queue.get(job.id) == record
        assert record.metrics is not None
        assert record.metrics["pid"] != frozen
        assert is_alive(frozen)
        assert list(queue.redis.scan_iter(f"rq:*{job.id}*")) == []
    invariants.hold(queue, [job.id])


def test_a_silent_worker_is_killed_and_replaced(
    queue: JobQueue, submit: Submit, play: Play, invariants: Invariants
) -> None:
    with play():
        frozen = pid_of(queue)
        os.kill(frozen, signal.SIGSTOP)
        wait_until_gone(frozen)
        job = submit({"acts": ["keep:000.nii.gz"]})
        # The server may still hand a job to the connection of a worker killed a moment ago: then it is in no list.
        recover(queue, [job.id])
    (record,) = invariants.hold(queue, [job.id])
    assert record.state is JobState.SUCCEEDED


def test_a_worker_that_finds_no_store_at_its_start_is_started_again(
    queue: JobQueue, submit: Submit, settings: Settings, tmp_path: Path, invariants: Invariants
) -> None:
    place, away = tmp_path / "mount", tmp_path / "away"
    own = settings.model_copy(update={"store_url": f"file://{place}/store", "lease_s": 5.0})
    with supervised(own) as supervisor:
        first = pid_of(queue)
        place.rename(away)
        place.touch()
        os.kill(first, signal.SIGKILL)
        eventually(lambda: supervisor.seats[0].failures > 1)
        assert not supervisor.seats[0].is_unfit
        place.unlink()
        away.rename(place)
        job = submit({"acts": ["step"]})
        assert queue.wait(job.id, 60).state is JobState.SUCCEEDED
    invariants.hold(queue, [job.id])


@pytest.mark.parametrize("lacks", ["process", "folder"])
def test_a_worker_that_the_system_cannot_start_is_tried_again_and_the_others_go_on(
    queue: JobQueue, submit: Submit, play: Play, lacks: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, invariants: Invariants,
) -> None:  # fmt: skip
    with play(count=2, lease_s=5.0) as supervisor:
        eventually(lambda: len(overview(queue).workers()) == 2)
        lost, other = supervisor.seats
        kept, temp = other.process, tempfile.gettempdir()
        if lacks == "process":
            monkeypatch.setattr(supervisor, "command", ["/no/such/program"])
        else:
            monkeypatch.setattr(tempfile, "tempdir", f"{temp}/gone")
        lost.process.kill()
        eventually(lambda: lost.failures > 2)
        assert (lost.process, lost.scratch, lost.beat_fd, lost.is_unfit) == (None, None, -1, False)
        assert len(list(Path(temp).glob("voxelsmith-worker-*"))) == 1
        job = submit({"acts": ["step"]})
        assert queue.wait(job.id, 30).metrics == {"pid": kept.pid}
        supervisor.command = PLAY_WORKER
        tempfile.tempdir = temp
        eventually(lambda: lost.heard)
        assert other.process is kept
    (told,) = [line for line in caplog.messages if "can be started" in line]
    assert told.startswith("no worker can be started on cpu: No such file or directory; trying again in 0.5 s")
    invariants.hold(queue, [job.id])


def test_a_silent_worker_that_no_signal_ends_is_told_of_once(
    queue: JobQueue, play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    invariants: Invariants,
) -> None:  # fmt: skip
    looks: list[int | None] = []
    with play() as supervisor:
        frozen = pid_of(queue)
        process = supervisor.seats[0].process
        look = process.poll
        monkeypatch.setattr(process, "kill", lambda: None)  # as in a system call that hangs
        os.kill(frozen, signal.SIGSTOP)
        eventually(lambda: "is silent" in caplog.text)
        monkeypatch.setattr(process, "poll", lambda: looks.append(look()) or looks[-1])
        eventually(lambda: len(looks) > 5)
        os.kill(frozen, signal.SIGKILL)
        eventually(lambda: supervisor.seats[0].process is not process)
    assert caplog.text.count("is silent: killing it") == 1
    invariants.left_nothing(queue)


def test_an_idle_workers_folder_may_be_cleared_away(
    queue: JobQueue, submit: Submit, play: Play, invariants: Invariants
) -> None:
    jobs = [submit({"acts": ["keep:000.nii.gz"]})]
    with play(lease_s=5.0) as supervisor:
        queue.wait(jobs[0].id, 30)
        supervisor.seats[0].scratch.rmdir()
        jobs.append(submit({"acts": ["keep:000.nii.gz", "litter"]}))
        assert queue.wait(jobs[1].id, 30).state is JobState.SUCCEEDED
    invariants.hold(queue, [job.id for job in jobs])


def test_a_job_that_rq_gave_to_a_frozen_worker_is_delivered_anew(
    queue: JobQueue, submit: Submit, play: Play, invariants: Invariants
) -> None:
    with play(lease_s=30.0):  # its supervisor does not kill it before it was given the job
        frozen = pid_of(queue)
        eventually(lambda: any(client["cmd"] == "blmove" for client in queue.redis.client_list(_type="normal")))
        os.kill(frozen, signal.SIGSTOP)
        job = submit({"acts": ["keep:000.nii.gz"]})
        os.kill(frozen, signal.SIGKILL)
        assert transport(queue).waiting() == {}
        eventually(lambda: upkeep(queue).reap(patience_s=0.2))
        assert queue.wait(job.id, 30).attempts == 1
    invariants.hold(queue, [job.id])


def test_a_job_that_hangs_in_c_is_ended_by_its_deadline(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path, invariants: Invariants
) -> None:
    scan, job_id = tmp_path / "scan", new_id()
    scan.write_text("000.nii.gz")
    _, sha256 = queue.results.write(f"uploads/{job_id}/scan", scan)
    job = submit({"acts": ["hang"], "upload": {"key": f"uploads/{job_id}/scan", "sha256": sha256}}, job_id=job_id)
    other = submit({"acts": ["keep:000.nii.gz"]})
    with play(job_timeout_s=3.0, lease_s=5.0):
        record = queue.wait(job.id, 30)
        assert queue.wait(other.id, 30).state is JobState.SUCCEEDED
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.code == "deadline_exceeded"
    assert record.attempts == 1
    invariants.hold(queue, [job.id, other.id])


def test_a_lost_device_costs_the_process_and_counts_against_the_job(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path, invariants: Invariants
) -> None:
    once = submit({"acts": ["once:lost", "keep:000.nii.gz"], "marks": str(tmp_path)})
    with play(lease_s=5.0):
        record = queue.wait(once.id, 30)
        assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
    assert queue.redis.hget(scripts(queue).key("job", once.id), "crashes") == b"1"
    invariants.hold(queue, [once.id])


def test_a_stopped_worker_finishes_the_sample_in_hand_and_hands_back_the_rest(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path, invariants: Invariants
) -> None:
    job = submit({"acts": ["once:await:go", "mark", "keep:000.nii.gz"], "marks": str(tmp_path)})
    with play(lease_s=5.0, shutdown_grace_s=30.0):
        eventually(lambda: (tmp_path / "0").exists())
        os.kill(pid_of(queue), signal.SIGTERM)
        eventually(lambda: any(worker.about["stopping"] for worker in overview(queue).workers()))
        assert running(queue, job)
        (tmp_path / "go").touch()
        record = queue.wait(job.id, 30)
    assert (record.state, record.attempts) == (JobState.SUCCEEDED, 2)
    assert record.metrics is not None
    assert (tmp_path / "1").read_text() == f"{record.metrics['pid']}\n", "the stopped worker went on to the next sample"
    assert queue.redis.hget(scripts(queue).key("job", job.id), "crashes") == b"0"
    invariants.hold(queue, [job.id])


def test_a_sample_longer_than_the_grace_is_handed_back(
    queue: JobQueue, submit: Submit, settings: Settings, tmp_path: Path, invariants: Invariants
) -> None:
    job = submit({"acts": ["once:sleep:30", "keep:000.nii.gz"], "marks": str(tmp_path)})
    short = settings.model_copy(update={"shutdown_grace_s": 0.5, "lease_s": 5.0})
    with supervised(short) as supervisor:
        eventually(lambda: (tmp_path / "0").exists())
        process = supervisor.seats[0].process
        assert process is not None
        process.terminate()
        assert process.wait(20) == 0  # long before the sample's end
        assert queue.wait(job.id, 30).state is JobState.SUCCEEDED
    assert queue.redis.hget(scripts(queue).key("job", job.id), "crashes") == b"0"
    invariants.hold(queue, [job.id])


def test_stopping_everything_leaves_no_process_no_file_and_no_lost_job(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path, invariants: Invariants
) -> None:
    job = submit({"acts": ["litter", "once:await:go", "step"], "marks": str(tmp_path)})
    with play(count=2, lease_s=3.0, shutdown_grace_s=30.0) as supervisor:
        eventually(lambda: len(overview(queue).workers()) == 2)
        pids = [seat.process.pid for seat in supervisor.seats]
        folders = [seat.scratch for seat in supervisor.seats]
        eventually(lambda: (tmp_path / "1").exists())
        assert any(list(folder.iterdir()) for folder in folders)
        supervisor.stop()
        eventually(
            lambda: any(worker.about["stopping"] and worker.about["job"] for worker in overview(queue).workers())
        )
        (tmp_path / "go").touch()
    assert not any(is_alive(pid) for pid in pids)
    assert not any(folder.exists() for folder in folders)
    assert queue.get(job.id).state is JobState.QUEUED
    assert list(overview(queue).workers()) == []
    invariants.left_nothing(queue)
    with play():
        assert queue.wait(job.id, 60).state is JobState.SUCCEEDED
    invariants.hold(queue, [job.id])


def test_workers_go_with_a_killed_supervisor(
    queue: JobQueue, submit: Submit, settings: Settings, tmp_path: Path, play: Play, invariants: Invariants
) -> None:
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
    job = submit({"acts": ["once:sleep:30", "keep:000.nii.gz"], "marks": str(tmp_path)})
    eventually(lambda: (tmp_path / "0").exists())
    process.kill()
    process.wait()
    wait_until_gone(worker)
    litter = list(Path(tempfile.gettempdir()).glob(f"voxelsmith-worker-*.{process.pid}.*"))
    assert litter
    remove_orphaned_scratch()
    assert not any(folder.exists() for folder in litter)
    # It may have handed the job back before its own end: its input ends a moment before the kernel kills it.
    eventually(lambda: upkeep(queue).reap() or not running(queue, job))
    assert queue.get(job.id).state is JobState.QUEUED
    with play():
        recover(queue, [job.id])
    (record,) = invariants.hold(queue, [job.id])
    assert record.state is JobState.SUCCEEDED


def test_a_supervisor_of_another_container_leaves_live_scratch_alone(
    queue: JobQueue, play: Play, tmp_path: Path, invariants: Invariants
) -> None:
    """Processes have other numbers there, and the folder for temporary files may be the same."""
    elsewhere = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*elsewhere, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to make a namespace for processes")
    sweep = [sys.executable, "-c", "from workers.supervisor import remove_orphaned_scratch; remove_orphaned_scratch()"]
    with play() as supervisor:
        pid_of(queue)
        scratch = supervisor.seats[0].scratch
        assert scratch is not None
        subprocess.run([*elsewhere, *sweep], check=True, timeout=60)
        assert scratch.exists()
        old = time.time() - FOREIGN_AGE_S - 1
        forgotten = scratch.with_name("voxelsmith-worker-elsewhere.4026531836.1.abcdefgh")
        forgotten.mkdir()
        os.utime(forgotten, (old, old))
        remove_orphaned_scratch()
        assert not forgotten.exists()
        assert scratch.exists()
    invariants.left_nothing(queue)


def test_work_finished_by_a_lost_worker_is_published_without_doing_it_again(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path, invariants: Invariants
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
        record = queue.wait(job.id, 30)
    assert (record.state, record.metrics) == (JobState.SUCCEEDED, {"pid": 0})
    assert list(marks.iterdir()) == []
    invariants.hold(queue, [job.id])
