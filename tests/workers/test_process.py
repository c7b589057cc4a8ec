"""Real worker processes under a real supervisor. What becomes of jobs when they are killed: test_faults_workers.py."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rq.job import Job

from contract.state import JobRecord, JobState
from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import Submission, new_id
from tests.support.processes import ValkeyProcess, eventually, supervised
from tests.support.sides import overview, transport
from workers.device.devices import check_device, cores, devices
from workers.loop import job_class
from workers.supervisor import Supervisor, settings_line

Submit = Callable[..., JobRecord]
Play = Callable[..., object]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No test here is about a lost worker: a busy machine must make none."""
    return settings.model_copy(update={"lease_s": 5.0})


def test_a_job_runs_and_its_files_are_published(queue: JobQueue, submit: Submit, play: Play) -> None:
    job = submit({"acts": ["keep:000.nii.gz", "keep:001.nii.gz"]})
    with play():
        record = queue.wait(job.id, 30)
    assert record.state is JobState.SUCCEEDED
    assert record.progress.done == record.progress.total == 2
    assert record.timings_s.keys() == {"queued", "forward", "store", "total"}
    assert {stage for stage, _ in overview(queue).counts().histogram("stage")} == {"forward", "store"}
    for entry in record.results:
        assert entry.url == f"/jobs/{job.id}/results/{entry.name}"
        assert queue.results.verify(f"results/{job.id}/{entry.name}", entry.sha256)
        assert queue.results.size(f"results/{job.id}/{entry.name}") == entry.size_bytes


def test_one_process_keeps_its_models_for_all_jobs(queue: JobQueue, submit: Submit, play: Play) -> None:
    jobs = [submit({"acts": ["step"]}) for _ in range(5)]
    with play():
        pids = {queue.wait(job.id, 30).metrics["pid"] for job in jobs}
    assert len(pids) == 1


def submit_scan(queue: JobQueue, tmp_path: Path) -> str:
    """Queues a job whose scan names a file that the work is to keep; its id."""
    (tmp_path / "scan").write_text("from-the-scan")
    job_id = new_id()
    key = f"uploads/{job_id}/scan.nii"
    _, sha256 = queue.results.write(key, tmp_path / "scan")
    payload = {"acts": [], "upload": {"key": key, "sha256": sha256}}
    queue.submit(Submission("encode", "tiny", "a" * 64, {}, payload, "d" * 64, job_id=job_id))
    return job_id


def test_an_upload_reaches_the_work_and_goes_when_the_job_ends(queue: JobQueue, play: Play, tmp_path: Path) -> None:
    job_id = submit_scan(queue, tmp_path)
    with play():
        record = queue.wait(job_id, 30)
        assert [entry.name for entry in record.results] == ["from-the-scan"]
        eventually(lambda: queue.results.list("uploads") == [])


@pytest.mark.fault
def test_a_scan_that_was_damaged_while_it_waited_is_never_encoded_as_sound(
    queue: JobQueue, play: Play, tmp_path: Path
) -> None:
    job_id = submit_scan(queue, tmp_path)
    (tmp_path / "scan").write_text("from-the-scam")
    queue.results.write(f"uploads/{job_id}/scan.nii", tmp_path / "scan")
    with play():
        record = queue.wait(job_id, 30)
    assert record.results == []
    assert record.error is not None
    assert record.error.code == "unreadable_volume"
    assert "SHA-256" in record.error.detail


def test_a_failing_job_says_nothing_of_the_machine(queue: JobQueue, submit: Submit, play: Play) -> None:
    job, following = submit({"acts": ["keep:000.nii.gz", "raise"]}), submit({"acts": ["step"]})
    with play():
        record = queue.wait(job.id, 30)
        assert queue.wait(following.id, 30).state is JobState.SUCCEEDED
    assert record.state is JobState.FAILED
    assert record.error is not None
    assert record.error.code == "internal_error"
    assert "/" not in record.error.detail
    assert record.progress.done == 1
    assert record.timings_s.keys() == {"queued", "total"}
    assert [entry.name for entry in record.results] == ["000.nii.gz"]


def test_an_attempt_that_makes_nothing_leaves_what_the_one_before_it_made(
    queue: JobQueue, submit: Submit, play: Play, tmp_path: Path
) -> None:
    job = submit({"acts": ["once:keep:000.nii.gz", "once:kill", "raise"], "marks": str(tmp_path)})
    with play(lease_s=1.5):
        record = queue.wait(job.id, 60)
    assert (record.state, record.attempts) == (JobState.FAILED, 2)
    (kept,) = record.results
    assert queue.results.verify(f"results/{job.id}/{kept.name}", kept.sha256)


def test_cancel_takes_effect_between_steps_and_keeps_what_is_finished(
    queue: JobQueue, submit: Submit, play: Play
) -> None:
    job = submit({"acts": ["keep:000.nii.gz"] + ["sleep:0.2"] * 40}, volumes=41)
    with play():
        eventually(lambda: queue.get(job.id).results)
        asked = queue.cancel(job.id)
        record = queue.wait(job.id, 30)
    assert record.state is JobState.CANCELED
    assert record.progress.done == 1 <= asked.progress.total == record.progress.total
    assert [entry.name for entry in record.results] == ["000.nii.gz"]
    assert queue.results.verify(f"results/{job.id}/000.nii.gz", record.results[0].sha256)


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
    rq = transport(queue).rq
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
    transport(queue).rq.enqueue_call("os.abort", job_id="foreign", failure_ttl=1)
    queue.redis.hset("rq:job:broken", mapping={"data": b"\x00\xff", "created_at": "?"})
    queue.redis.rpush(transport(queue).rq.key, "broken")
    job = submit({"acts": ["step"]})
    with play():
        assert queue.wait(job.id, 30).state is JobState.SUCCEEDED


def test_the_supervisor_loads_no_torch() -> None:
    script = "import sys, workers.supervisor, workers.process; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_devices_without_a_driver_are_the_cpu() -> None:
    assert devices("cpu") == ["cpu"]
    assert devices("cuda:1") == ["cuda:1"]
    assert devices("all")[0] in ("cpu", "cuda:0")


@pytest.mark.parametrize(
    ("device", "precision", "told"),
    [
        ("foo", "float32", "cpu, cuda:N"),
        ("cuda", "float32", "cpu, cuda:N"),
        ("cuda:2", "float32", "there is no cuda:2"),
        ("cpu", "float16", "float16 needs a CUDA device"),
        ("cpu", "tf32", "tf32 needs a CUDA device"),
    ],
)
def test_a_device_that_cannot_be_used_is_refused(tmp_path: Path, device: str, precision: str, told: str) -> None:
    for card in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / card).mkdir()
    with pytest.raises(ValueError, match=told):
        check_device(device, precision, tmp_path)
    for usable in ("cpu", "all", "cuda:1"):
        check_device(usable, "bfloat16", tmp_path)
    check_device("all", precision, tmp_path)


def test_where_the_driver_lists_nothing_a_gpu_is_given_a_try(tmp_path: Path) -> None:
    check_device("cuda:0", "float16", tmp_path / "none")
    with pytest.raises(ValueError, match="float16"):
        check_device("all", "float16", tmp_path / "none")
    with pytest.raises(ValueError, match="its driver lists: 0"):
        check_device("cuda:0", "float32", tmp_path)


def test_all_is_what_the_driver_lists_or_a_container_was_given(tmp_path: Path) -> None:
    cards, nodes = tmp_path / "gpus", tmp_path / "dev"
    nodes.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (nodes / name).touch()
    assert devices("all", cards, nodes) == ["cuda:0", "cuda:1"]
    (cards / "0000:01:00.0").mkdir(parents=True)
    assert devices("all", cards, nodes) == ["cuda:0"]
    assert devices("all", tmp_path / "none", tmp_path / "none") == ["cpu"]
    assert devices("cuda:3", cards, nodes) == ["cuda:3"]


@pytest.mark.skipif(devices("all") != ["cpu"], reason="there is a GPU on this machine")
def test_a_worker_for_gpus_says_that_it_found_none(
    settings: Settings, queue: JobQueue, submit: Submit, play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    job = submit({"acts": ["step"]})
    with play(device="all"):
        assert queue.wait(job.id, 30).state is JobState.SUCCEEDED
    assert "no driver lists a GPU here: working on the CPU" in caplog.messages


def test_a_supervisor_of_a_device_that_is_none_ends_with_one_line() -> None:
    environment = {**os.environ, "VOXELSMITH_DEVICE": "foo"}
    command = [sys.executable, "-m", "workers.supervisor"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cpu, cuda:N" in done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system keeps no process to some of its cores")
def test_workers_share_the_cores_that_the_process_may_use(settings: Settings) -> None:
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    try:
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, usual)
    seats = Supervisor(settings.model_copy(update={"threads": 0}), 2).seats
    assert [seat.settings.threads for seat in seats] == [max(1, len(usual) // 2)] * 2


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1)])
def test_a_containers_quota_counts_as_cores(tmp_path: Path, quota: str, expected: int | None) -> None:
    usual = cores(tmp_path / "none")
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert cores(tmp_path / "cpu.max") == (expected or usual)
    (tmp_path / "cpu.max").write_text(f"{100000 * usual + 1} 100000\n")
    assert cores(tmp_path / "cpu.max") == usual


def test_settings_reach_a_worker_whole(settings: Settings) -> None:
    assert Settings.model_validate_json(settings_line(settings)) == settings
