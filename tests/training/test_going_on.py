"""A run that a signal ends goes on, gives a model of any checkpoint, and its model comes to stand beside the others."""

import io
import json
import signal
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from model_store.card import ModelCard
from training.engine import course
from training.engine.beginning import alone_in
from training.engine.errors import DataRefused
from training.engine.stopping import StoppedError
from training.progressive.config import ProGANConfig
from training.progressive.trainer import FAMILY
from voxelsmith.cli import app
from voxelsmith.commands.training.progress import bar, losses_text, shown_progress

SIZES: dict[str, Any] = {"base": (1, 2, 1), "stages": 2, "channels": 2, "critic_channels": 2, "z_dim": 4,
                         "stage_samples": 4, "batch_size": 1, "critic_steps": 1, "iterations": 6}  # fmt: skip


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    array = np.random.default_rng(0).integers(0, 900, (9, 12, 8)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), folder / "scan.nii.gz")
    return folder


def config_for(scans: Path, out: Path, **changes: Any) -> ProGANConfig:
    return ProGANConfig.model_validate({"data": scans, "out": out, **SIZES, **changes})


def stop_at(iteration: int, number: int) -> Any:
    """A progress callback that is sent a signal."""

    def told(done: int, _total: int, _losses: dict[str, float]) -> None:
        if done == iteration:
            signal.raise_signal(number)

    return told


def voxelsmith(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def card_of(folder: Path) -> ModelCard:
    return ModelCard.model_validate_json((folder / "card.json").read_bytes())


@pytest.fixture
def stopped(scans: Path, tmp_path: Path) -> Path:
    """A run of six iterations, ended by SIGTERM in its third; --save-every alone would have kept none."""
    config = config_for(scans, tmp_path / "run", log_every=1, keep_every=2)
    with pytest.raises(StoppedError, match="iteration 3 of 6"):
        course.train(config, FAMILY, stop_at(3, signal.SIGTERM))
    return config.out


def test_a_stopped_run_goes_on_to_what_an_unbroken_one_makes(scans: Path, stopped: Path, tmp_path: Path) -> None:
    whole = course.train(config_for(scans, tmp_path / "whole"), FAMILY)
    done = voxelsmith("train", "progan", "--resume", stopped)
    assert done.exit_code == 0, done.stderr
    assert (stopped / "progan" / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert "iteration 6 of 6" in done.stderr


def test_resume_refuses_other_options_by_name_and_other_families(stopped: Path) -> None:
    other = voxelsmith("train", "progan", "--resume", stopped, "--channels", "4")
    assert (other.exit_code, "--channels: the run in" in " ".join(other.stderr.split())) == (2, True)
    assert voxelsmith("train", "stylegan", "--resume", stopped).exit_code == 2
    assert voxelsmith("train", "progan", "--resume", stopped.parent).exit_code == 2
    longer = voxelsmith("train", "progan", "--resume", stopped, "--iterations", "4")
    assert longer.exit_code == 0, longer.stderr
    assert card_of(stopped / "progan").provenance.iterations == {"adversarial": 4}
    shorter = voxelsmith("train", "progan", "--resume", stopped, "--iterations", "3")
    assert (shorter.exit_code, "has done 4 iterations" in " ".join(shorter.stderr.split())) == (1, True)


def test_two_runs_do_not_write_one_folder(scans: Path, tmp_path: Path) -> None:
    config = config_for(scans, tmp_path / "run")
    with alone_in(config.out), pytest.raises(DataRefused, match="another training run writes"):
        course.train(config, FAMILY)


def test_any_checkpoint_becomes_a_model_that_stands_beside_the_others(stopped: Path, tmp_path: Path) -> None:
    assert voxelsmith("train", "export", stopped).exit_code == 0
    early = tmp_path / "early"
    done = voxelsmith("train", "export", stopped, "--checkpoint", stopped / "checkpoint-000002.pt", "--out", early)
    assert done.exit_code == 0, done.stderr
    assert card_of(stopped / "progan").provenance.iterations == {"adversarial": 3}
    assert card_of(early).provenance.iterations == {"adversarial": 2}
    assert card_of(early).spacing_mm == (6.0, 3.0, 4.5)
    store = tmp_path / "store"
    place = ("--models", store, "models")
    added = voxelsmith(*place, "add", stopped, "--title", "Heads", "--licence", "CC0", "--name", "heads")
    assert added.exit_code == 0, added.stderr
    assert voxelsmith(*place, "verify", "heads").exit_code == 0
    assert voxelsmith(*place, "add", stopped, "--name", "heads").exit_code == 1
    assert voxelsmith(*place, "edit", "heads", "--anatomy", "head").exit_code == 0
    shown = json.loads(voxelsmith(*place, "show", "heads").stdout)
    assert (shown["title"], shown["anatomy"], shown["licence"]) == ("Heads", "head", "CC0")
    (early / "weights.safetensors").write_bytes(b"other")
    assert voxelsmith(*place, "add", early).exit_code == 1
    assert not (store / "early").exists()


def test_samples_lie_beside_the_checkpoint_as_pictures(scans: Path, tmp_path: Path) -> None:
    course.train(config_for(scans, tmp_path / "run", iterations=2, picture_every=2), FAMILY)
    assert (tmp_path / "run" / "samples-000002.png").read_bytes().startswith(b"\x89PNG")


def test_a_log_file_gets_lines_with_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(Console(file=io.StringIO())) as told:
        told(1, 30, {"critic": 1.5})
        told(10, 30, {"critic": 0.25})
    first, second = capsys.readouterr().err.splitlines()
    assert first == "iteration 1 of 30, begun: critic 1.500"
    assert second.startswith("iteration 10 of 30, ")
    assert "iterations/s, 0:00:0" in second
    assert second.endswith("left: critic 0.250")


def test_a_bar_of_80_columns_keeps_count_and_remaining_time() -> None:
    file = io.StringIO()
    with bar(Console(file=file, width=80, force_terminal=True)) as shown:
        losses = dict.fromkeys(("discriminator", "generator", "encoder_high", "encoder_ground"), 123.456)
        shown.add_task("", total=80_000, completed=12_345, losses=losses_text(losses))
        shown.refresh()
    assert "12345/80000" in file.getvalue()
    assert "-:--:--" in file.getvalue()
