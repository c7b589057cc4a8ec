"""The real worker: its device is short of memory or lost, its models break or go, its output is no number."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from contract.state import JobRecord, JobState
from jobs.queue import JobQueue
from jobs.settings import Settings
from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from tests.support.invariants import Invariants
from tests.support.models.tiny_models import tiny_weights, write_card, write_tiny_hagan
from tests.support.processes import eventually, pid_of, supervised
from tests.support.sides import overview
from tests.workers.test_main import MODULE, make

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
TROUBLED = (sys.executable, "-m", "tests.support.troubled_worker")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def own(settings: Settings, folder: Path) -> Settings:
    """Leases for a worker that computes in earnest on a busy machine."""
    return settings.model_copy(update={"models_url": str(folder), "lease_s": 5.0})


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets troubles for the device to get into, one for each convolution to come."""
    place = tmp_path / "trouble"
    place.mkdir()
    monkeypatch.setenv("DEVICE_TROUBLE", str(place))

    def set_off(*kinds: str) -> None:
        for index, kind in enumerate(kinds):
            (place / f"{kind}-{index}").touch()

    return set_off


def outcome(queue: JobQueue, card: ModelCard, **body: object) -> JobRecord:
    return queue.wait(make(queue, card, "generate", {"seed": 5, **body}).id, 120)


def code_of(record: JobRecord) -> str | None:
    return record.error.code if record.error else None


def test_a_device_without_memory_is_freed_and_tried_once_more_and_then_the_job_fails(
    queue: JobQueue, own: Settings, folder: Path, trouble: Callable[..., None], invariants: Invariants
) -> None:
    card = write_tiny_hagan(folder, "tiny")
    with supervised(own, TROUBLED):
        usual = outcome(queue, card)
        pid = pid_of(queue)
        trouble("memory")
        mended = outcome(queue, card)
        trouble("memory", "memory")
        failed = outcome(queue, card)
        after = outcome(queue, card)
        assert pid_of(queue) == pid
    assert code_of(failed) == "gpu_out_of_memory"
    assert [entry.sha256 for entry in mended.results] == [entry.sha256 for entry in usual.results]
    assert [entry.sha256 for entry in after.results] == [entry.sha256 for entry in usual.results]
    records = invariants.hold(queue, [usual.id, mended.id, failed.id, after.id])
    assert [record.attempts for record in records] == [1, 1, 1, 1]


def test_a_device_that_is_full_at_the_start_is_tried_again_until_it_has_room(
    queue: JobQueue, own: Settings, folder: Path, tmp_path: Path, trouble: Callable[..., None], invariants: Invariants
) -> None:
    card = write_tiny_hagan(folder, "tiny")
    trouble()
    full = tmp_path / "trouble" / "full"
    full.touch()
    with supervised(own, TROUBLED) as supervisor:
        eventually(lambda: supervisor.seats[0].failures)
        assert not supervisor.seats[0].is_unfit
        full.unlink()
        record = outcome(queue, card)
    assert record.state is JobState.SUCCEEDED
    invariants.hold(queue, [record.id])


def test_a_device_beyond_repair_costs_the_process_and_another_one_does_the_job(
    queue: JobQueue, own: Settings, folder: Path, trouble: Callable[..., None], invariants: Invariants
) -> None:
    card = write_tiny_hagan(folder, "tiny")
    with supervised(own, TROUBLED):
        usual = outcome(queue, card)
        pid = pid_of(queue)
        trouble("device")
        again = outcome(queue, card)
        assert pid_of(queue) != pid
    assert (again.state, again.attempts) == (JobState.SUCCEEDED, 2)
    assert [entry.sha256 for entry in again.results] == [entry.sha256 for entry in usual.results]
    assert overview(queue).counts().of("handed_back") == {("crashed",): 1}
    invariants.hold(queue, [usual.id, again.id])


def test_broken_models_and_wild_output_fail_their_jobs_and_others_are_served(
    queue: JobQueue, own: Settings, folder: Path, invariants: Invariants
) -> None:
    good, flipped, cut, swapped = (write_tiny_hagan(folder, name, seed=k) for k, name in enumerate(
        ("good", "flipped", "cut", "swapped")))  # fmt: skip
    flip_a_bit(folder / "flipped" / "weights.safetensors")
    with (folder / "cut" / "weights.safetensors").open("r+b") as file:
        file.truncate(1000)
    shutil.copy(folder / "good" / "weights.safetensors", folder / "swapped" / "weights.safetensors")
    wild = write_wild(folder)
    with supervised(own, MODULE):
        records = [outcome(queue, card) for card in (flipped, cut, swapped)]
        endless = queue.wait(make(queue, wild, "generate", {"latents": [[1.0] * 8]}).id, 120)
        fine = outcome(queue, good)
    assert Catalogue([folder]).broken().keys() == {"flipped", "cut", "swapped"}
    assert [code_of(record) for record in records] == ["model_broken"] * 3
    assert code_of(endless) == "non_finite_output"
    assert endless.results == endless.files == []
    assert fine.state is JobState.SUCCEEDED
    invariants.hold(queue, [record.id for record in (*records, endless, fine)])


def test_a_model_removed_while_in_use_fails_no_job_that_has_begun(
    queue: JobQueue, own: Settings, folder: Path, invariants: Invariants
) -> None:
    card, other = write_tiny_hagan(folder, "tiny"), write_tiny_hagan(folder, "other")
    with supervised(own, MODULE):
        begun = make(queue, card, "generate", {"seed": 1, "num_samples": 12})
        eventually(lambda: queue.get(begun.id).results)
        shutil.rmtree(folder / "tiny")
        waiting = make(queue, card, "generate", {"seed": 1})
        fine = outcome(queue, other)
        assert queue.get(begun.id).state is JobState.SUCCEEDED
        assert fine.state is JobState.SUCCEEDED
        assert code_of(queue.get(waiting.id)) == "unknown_model"
    invariants.hold(queue, [begun.id, waiting.id, fine.id])


LOCKS = """
import sys
from workers.main import lock_card
from workers.process import UnfitWorker
try:
    lock = lock_card(sys.argv[1], "cuda:0")
except UnfitWorker as err:
    sys.exit(str(err))
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_second_worker_on_a_card_is_refused_until_the_first_is_gone() -> None:
    """Without a card: the lock alone, under a name as cards have it."""
    command = [sys.executable, "-c", LOCKS, f"GPU-of-test-{os.getpid()}"]  # the name is the whole machine's
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "locked\n"
    second = subprocess.run(command, input="", capture_output=True, text=True)
    assert (second.returncode, second.stderr) == (1, "another worker is using cuda:0\n")
    first.kill()
    first.communicate()
    third = subprocess.run(command, input="", capture_output=True, text=True)
    assert third.returncode == 0, third.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine")
def test_a_second_worker_on_a_real_card_is_refused(own: Settings, folder: Path, queue: JobQueue) -> None:
    write_tiny_hagan(folder, "tiny")
    own = own.model_copy(update={"device": "cuda:0"})
    with supervised(own, MODULE):
        eventually(overview(queue).workers, 60)
        with supervised(own, MODULE) as second:
            eventually(lambda: second.seats[0].is_unfit, 60)


def flip_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        byte = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([byte[0] ^ 1]))


def write_wild(folder: Path) -> ModelCard:
    """Every weight is finite, their products are not: loading finds nothing."""
    card = write_tiny_hagan(folder, "wild", stored=torch.float32)
    tensors = tiny_weights(32, 4, 8, 0, True, 0, torch.float32)
    tensors["generator.common.fc1.weight"].fill_(3e38)
    save_file(tensors, folder / "wild" / "weights.safetensors")
    return write_card(folder / "wild", card)
