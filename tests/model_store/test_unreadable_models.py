"""A model whose file the system cannot read just now is served as soon as it can be read again."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract.errors import ModelBroken
from model_store.catalogue import Catalogue
from tests.support.models.tiny_models import write_tiny_hagan
from workers.bench import Bench

NOBODY = 65534


@contextmanager
def _unreadable(path: Path, left: int = 0) -> Iterator[None]:
    """Without permission but for what is left, which times and size do not tell; root has to be somebody else."""
    mode, user = path.stat().st_mode, os.geteuid()
    path.chmod(left)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(mode)


@pytest.mark.fault
@pytest.mark.parametrize("name", ["weights.safetensors", "card.json"])
def test_a_failure_to_read_does_not_outlast_its_cause(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="vs-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        write_tiny_hagan(Path(folder), "tiny")
        catalogue = Catalogue([Path(folder)])
        bench = Bench(catalogue, threads=1)
        with _unreadable(Path(folder) / "tiny" / name):
            with pytest.raises(ModelBroken, match="cannot be read"):
                bench.generator("tiny")
            assert name in catalogue.broken()["tiny"]
        assert bench.generator("tiny").card.name == "tiny"
        with _unreadable(Path(folder) / "tiny" / name):
            assert bench.generator("tiny").card.name == "tiny"  # resident
        assert bench.faults == {}


@pytest.mark.fault
def test_weights_that_fail_between_catalogue_and_loading_are_no_fault_of_the_model() -> None:
    with tempfile.TemporaryDirectory(prefix="vs-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        write_tiny_hagan(Path(folder), "tiny")
        bench = Bench(Catalogue([Path(folder)]), threads=1)
        bench.card("tiny")
        with _unreadable(Path(folder) / "tiny" / "weights.safetensors"), pytest.raises(ModelBroken, match="be read"):
            bench.generator("tiny")
        assert bench.faults == {}
        assert bench.generator("tiny").card.name == "tiny"


def _write_for_all(folder: Path, name: str) -> None:
    """A model that everybody may read, as importers leave it."""
    write_tiny_hagan(folder, name)
    (folder / name / "weights.safetensors").chmod(0o644)


@pytest.mark.fault
def test_a_folder_that_may_not_be_entered_stops_no_other_model() -> None:
    with tempfile.TemporaryDirectory(prefix="vs-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        for name in ("secret", "tiny"):
            _write_for_all(Path(folder), name)
        catalogue = Catalogue([Path(folder)])
        with _unreadable(Path(folder) / "secret"):
            assert catalogue.broken() == {"secret": "card.json cannot be read"}
            assert [card.name for card in catalogue.cards()] == ["tiny"]
        assert [card.name for card in catalogue.cards()] == ["secret", "tiny"]


@pytest.mark.fault
@pytest.mark.parametrize("left", [0, 0o444])
def test_a_place_of_models_that_may_not_be_entered_is_told_once_and_stops_no_other(
    left: int, caplog: pytest.LogCaptureFixture
) -> None:
    with tempfile.TemporaryDirectory(prefix="vs-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        _write_for_all(Path(folder) / "closed", "secret")
        _write_for_all(Path(folder) / "open", "tiny")
        catalogue = Catalogue([Path(folder) / "closed", Path(folder) / "open", Path(folder) / "none"])
        with _unreadable(Path(folder) / "closed", left):
            for _ in range(3):
                assert [card.name for card in catalogue.cards()] == ["tiny"]
        assert [record.getMessage() for record in caplog.records] == [
            "the folder of models closed cannot be read: Permission denied"
        ]
        assert [card.name for card in catalogue.cards()] == ["secret", "tiny"]
