"""Writing behind the computation: what overlaps, in which order, and how a failure comes out."""

import threading
from pathlib import Path

import pytest
import torch

from contract.errors import LeaseLost, StoreFull
from contract.state import ResultFile
from jobs.logs import JOB
from model_store.catalogue import Catalogue
from tests.support.models.tiny_models import write_tiny_hagan
from workers.bench import Bench
from workers.run import run
from workers.steps.recipe_events import Product
from workers.writing.folder_sink import FolderSink
from workers.writing.write_behind import WriteBehind

PATIENCE_S = 60.0


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    write_tiny_hagan(tmp_path / "models", "tiny", encoder=False)
    return Bench(Catalogue([tmp_path / "models"]), threads=1)


class WatchingSink(FolderSink):
    """Notes what it is told; `keep` does first what a test wants of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun = threading.Event()
        """The second sample has begun."""
        self.forwards = 0

    def stage(self, name: str, done: int, total: int, left_s: float | None = None) -> None:  # noqa: ARG002
        self.forwards += name == "forward"
        if self.forwards == 2:
            self.begun.set()


class PatientSink(WatchingSink):
    """Keeps no volume before the second sample has begun."""

    def keep(self, path: Path, entry: ResultFile) -> ResultFile:
        assert self.begun.wait(PATIENCE_S), "the second sample waited for the first one's file"
        return super().keep(path, entry)


class FailingSink(WatchingSink):
    """Has an error for every file."""

    def __init__(self, folder: Path, error: Exception) -> None:
        super().__init__(folder)
        self.error = error

    def keep(self, path: Path, entry: ResultFile) -> ResultFile:  # noqa: ARG002
        raise self.error


def test_a_sample_is_stored_while_the_next_one_is_made(bench: Bench, tmp_path: Path) -> None:
    body = {"model": "tiny", "seed": 1, "num_samples": 3, "output": {"preview": False}}
    manifest = run("generate", body, None, bench, PatientSink(tmp_path / "out"))
    assert [entry.name for entry in manifest.results] == ["000.nii.gz", "001.nii.gz", "002.nii.gz"]
    assert [entry.latent for entry in manifest.results] == [{"seed": 1}, {"seed": 2}, {"seed": 3}]


@pytest.mark.parametrize("error", [StoreFull("The result store is full."), LeaseLost()])
def test_a_failure_to_store_ends_the_job_after_at_most_one_more_sample(
    bench: Bench, tmp_path: Path, error: Exception
) -> None:
    sink = FailingSink(tmp_path / "out", error)
    with pytest.raises(type(error)):
        run("generate", {"model": "tiny", "seed": 1, "num_samples": 6}, None, bench, sink)
    assert sink.forwards <= 2
    assert list((tmp_path / "out").iterdir()) == []


def test_at_most_one_product_is_in_flight() -> None:
    may_end, kept = threading.Event(), []

    def keep(product: Product) -> None:
        assert may_end.wait(PATIENCE_S)
        kept.append(product)

    first, second = object(), object()
    with WriteBehind(keep) as behind:
        behind.put(first)  # type: ignore[arg-type]
        behind.check()  # not over yet: nothing to tell
        putting = threading.Thread(target=behind.put, args=(second,))
        putting.start()
        putting.join(0.2)
        assert putting.is_alive()
        may_end.set()
        putting.join(PATIENCE_S)
        behind.settle()
    assert kept == [first, second]


def test_the_thread_is_gone_after_an_error_and_the_product_in_flight_is_kept() -> None:
    before, kept = set(threading.enumerate()), []

    def fail() -> None:
        with WriteBehind(kept.append) as behind:
            behind.put("product")  # type: ignore[arg-type]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert kept == ["product"]
    assert set(threading.enumerate()) <= before


def test_lines_logged_while_writing_tell_the_job() -> None:
    told: list[str] = []
    token = JOB.set("a-job")
    try:
        with WriteBehind(lambda _: told.append(JOB.get())) as behind:
            behind.put("product")  # type: ignore[arg-type]
    finally:
        JOB.reset(token)
    assert told == ["a-job"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine")
@pytest.mark.parametrize("device", [f"cuda:{index}" for index in range(max(1, torch.cuda.device_count()))])
def test_volumes_that_come_from_a_gpu_while_it_goes_on_are_those_that_were_made(tmp_path: Path, device: str) -> None:
    """On each of several: what waits for a volume must wait for its own card."""
    write_tiny_hagan(tmp_path / "models", "tiny", encoder=False)
    bench = Bench(Catalogue([tmp_path / "models"]), device=device)
    run("generate", {"model": "tiny", "seed": 1, "num_samples": 5}, None, bench, FolderSink(tmp_path / "five"))
    for seed in range(1, 6):
        run("generate", {"model": "tiny", "seed": seed}, None, bench, FolderSink(tmp_path / str(seed)))
        alone, among = tmp_path / str(seed) / "000.nii.gz", tmp_path / "five" / f"{seed - 1:03d}.nii.gz"
        assert alone.read_bytes() == among.read_bytes()
