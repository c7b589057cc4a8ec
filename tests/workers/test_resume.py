"""A job that comes back to a worker goes on after the samples that are finished, where they would be the same."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract.state import JobKind, JobRecord, JobState
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import Submission
from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from tests.support.invariants import sound_records, wait_until_gone
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.processes import eventually, pid_of, supervised
from workers.bench import Bench
from workers.run import run
from workers.writing.folder_sink import FolderSink

pytestmark = pytest.mark.fault
MODULE = (sys.executable, "-m", "workers.main")
SAMPLES = 64


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"models_url": str(tmp_path / "models"), "lease_s": 5.0})


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return write_tiny_hagan(tmp_path / "models", "tiny")


def post(queue: JobQueue, card: ModelCard, kind: JobKind = "generate") -> JobRecord:
    way = {"op": "interpolate", "target": {"seed": 8}, "steps": SAMPLES}
    body = {"generate": {"seed": 7, "num_samples": SAMPLES}, "edit": {"source": {"seed": 7}, "edit": way}}[kind]
    request = {"model": card.name, "output": {"preview": True}, **body}
    return queue.submit(Submission(kind, card.name, card.sha256, request, request, "d" * 64))


@contextmanager
def begun(queue: JobQueue, settings: Settings, job: JobRecord) -> Iterator[None]:
    """Supervised workers of which one has finished some of the job's samples, but not all."""
    with supervised(settings, MODULE):
        eventually(lambda: len(queue.get(job.id).results) >= 3, 120)
        yield


def places(queue: JobQueue, record: JobRecord) -> dict[str, int]:
    """Each finished sample's files by name, with what one has of its own until it is written again. The record may have
    one more preview, of the sample in hand."""
    folder = Path(queue.settings.store_url.removeprefix("file://")) / "results" / record.id
    names = [name for result in record.results for name in (result.name, str(result.preview))]
    return {name: (folder / name).stat().st_ino for name in names}


def assert_as_in_one_go(queue: JobQueue, settings: Settings, folder: Path, done: JobRecord) -> None:
    bench = Bench(Catalogue([folder / "models"]), precision=settings.precision, threads=settings.threads)
    undisturbed = run(done.kind, done.request, None, bench, FolderSink(folder / "undisturbed"))
    for ours, theirs in ((done.results, undisturbed.results), (done.files, undisturbed.files)):
        assert [(file.name, file.sha256) for file in ours] == [(file.name, file.sha256) for file in theirs]
    sound_records(queue, [done.id])


@pytest.mark.parametrize(("kind", "number"), [("generate", signal.SIGKILL), ("edit", signal.SIGTERM)])
def test_what_a_worker_finished_before_its_end_is_not_made_again(
    queue: JobQueue, settings: Settings, card: ModelCard, tmp_path: Path, kind: JobKind, number: signal.Signals
) -> None:
    job = post(queue, card, kind)
    with begun(queue, settings, job):
        worker = pid_of(queue)
        os.kill(worker, number)
        wait_until_gone(worker)
        finished = queue.get(job.id)
        before = places(queue, finished)
        done = queue.wait(job.id, 120)
    assert (done.state, done.attempts) == (JobState.SUCCEEDED, 2)
    assert len(finished.results) < SAMPLES
    after = places(queue, done)
    assert {name: after[name] for name in before} == before
    assert_as_in_one_go(queue, settings, tmp_path, done)


@pytest.mark.slow
def test_a_finished_sample_that_is_damaged_is_made_again(
    queue: JobQueue, settings: Settings, card: ModelCard, tmp_path: Path
) -> None:
    job = post(queue, card)
    with begun(queue, settings, job):
        pass
    stopped = queue.get(job.id)
    assert stopped.state is JobState.QUEUED
    before = places(queue, stopped)
    path = Path(settings.store_url.removeprefix("file://")) / "results" / job.id / "001.nii.gz"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with supervised(settings, MODULE):
        done = queue.wait(job.id, 120)
    after = places(queue, done)
    assert after["000.nii.gz"] == before["000.nii.gz"]
    assert after["001.nii.gz"] != before["001.nii.gz"]
    assert_as_in_one_go(queue, settings, tmp_path, done)


@pytest.mark.slow
def test_another_arithmetic_makes_all_samples_anew(
    queue: JobQueue, settings: Settings, card: ModelCard, tmp_path: Path
) -> None:
    job = post(queue, card)
    with begun(queue, settings, job):
        pass
    before = places(queue, queue.get(job.id))
    bfloat16 = settings.model_copy(update={"precision": "bfloat16"})
    with supervised(bfloat16, MODULE):
        done = queue.wait(job.id, 120)
    assert done.state is JobState.SUCCEEDED
    after = places(queue, done)
    assert all(after[name] != before[name] for name in before)
    assert_as_in_one_go(queue, bfloat16, tmp_path, done)
