"""The real worker on a tiny model: what a job makes, and that it makes the same again."""

import sys
from pathlib import Path
from typing import Any

import nibabel
import pytest

from contract.state import JobRecord, JobState
from jobs.queue import JobQueue
from jobs.results.directions import FittedDirections
from jobs.settings import Settings
from jobs.submission import Submission
from model_store.card import ModelCard
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.processes import eventually, supervised
from tests.support.sides import overview

MODULE = (sys.executable, "-m", "workers.main")
TAKEN = ("provenance", "manifest", "latents")
"""Names of directions that are also names of a job's own files."""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_tiny_hagan(tmp_path / "models", "tiny")
    (tmp_path / "models" / "broken").mkdir()
    (tmp_path / "models" / "broken" / "card.json").write_text("{")
    return tmp_path / "models"


@pytest.fixture
def card(models: Path) -> ModelCard:
    return ModelCard.model_validate_json((models / "tiny" / "card.json").read_text())


def make(queue: JobQueue, card: ModelCard, kind: str, body: dict[str, Any], **beside: Any) -> JobRecord:
    request = {"model": card.name, **body}
    return queue.submit(Submission(kind, card.name, card.sha256, request, request | beside, "d" * 64))


def fit_of(name: str) -> dict[str, Any]:
    measure = {"name": "mean_intensity"}
    return {"method": "regression", "name": name, "attribute": "mean", "measure": measure, "num_samples": 8}


def digests(record: JobRecord) -> list[str]:
    return [entry.sha256 for entry in record.results]


def test_jobs_of_every_kind_on_a_real_model(queue: JobQueue, settings: Settings, models: Path, card: ModelCard) -> None:
    own = settings.model_copy(update={"models_url": str(models), "lease_s": 5.0})
    with supervised(own, MODULE):
        pair = queue.wait(make(queue, card, "generate", {"seed": 5, "num_samples": 2}).id, 120)
        alone = queue.wait(make(queue, card, "generate", {"seed": 6}).id, 120)
        (worker,) = overview(JobQueue(queue.redis, own)).workers()
        assert worker.about["device"] == "cpu"
        assert 0 < worker.about["memory"]["used_bytes"] <= worker.about["memory"]["total_bytes"]
        broken = queue.wait(make(queue, card.model_copy(update={"name": "broken"}), "generate", {"seed": 1}).id, 120)
        fit = {"fit": {"method": "sefa", "name_prefix": "sefa", "count": 2}}
        fitted = queue.wait(make(queue, card, "fit_direction", fit).id, 120)
        named = [queue.wait(make(queue, card, "fit_direction", {"fit": fit_of(name)}).id, 120) for name in TAKEN]
    with supervised(own, MODULE):
        again = queue.wait(make(queue, card, "generate", {"seed": 5, "num_samples": 2}).id, 120)
    assert pair.state is JobState.SUCCEEDED, pair.error
    assert digests(pair)[1:] == digests(alone)
    assert digests(pair) == digests(again)
    for record in (pair, fitted, *named):
        files = [*record.results, *record.files]
        assert len({entry.name for entry in files}) == len(files) > 1
        for entry in files:
            assert queue.results.verify(f"results/{record.id}/{entry.name}", entry.sha256), entry.name
    with queue.results.read_path(f"results/{pair.id}/{pair.results[0].name}") as path:
        assert list(nibabel.load(path).shape) == pair.results[0].shape
    assert broken.error is not None
    assert broken.error.code == "model_broken"
    assert fitted.state is JobState.SUCCEEDED, fitted.error
    assert {record.state for record in named} == {JobState.SUCCEEDED}
    assert len(FittedDirections(queue.results).names("tiny")) == 2 + len(TAKEN)


def test_a_device_that_is_not_there_stops_the_worker_with_one_line(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    with supervised(settings.model_copy(update={"device": "cuda:9"}), MODULE) as supervisor:
        eventually(lambda: supervisor.seats[0].is_unfit, 120)
    errors = [line for line in capfd.readouterr().err.splitlines() if "ERROR" in line]
    assert len(errors) == 1
    assert "cannot start" in errors[0]
