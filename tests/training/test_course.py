"""The one course of training: what a run starts from is read once, older checkpoints are taken up, exports replace."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model_store.card import ModelCard
from training.engine import course
from training.engine.checkpoint import networks_in
from training.engine.config import CHECKPOINT
from training.engine.export import DIRECTIONS
from training.hagan import trainer as hagan
from training.hagan.config import HAGANConfig
from training.progressive import encoder
from training.progressive import trainer as progressive
from training.progressive.config import EncoderConfig, ProGANConfig, StyleGANConfig
from training.split_shuffle import trainer as split_shuffle
from training.split_shuffle.config import SplitShuffleConfig
from voxelsmith.cli import app

PROGRESSIVE: dict[str, Any] = {
    "base": (1, 2, 1), "stages": 2, "channels": 2, "critic_channels": 2, "z_dim": 4, "stage_samples": 4,
    "batch_size": 1, "critic_steps": 1,
}  # fmt: skip
RUNS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "hagan": (hagan.FAMILY, HAGANConfig, {"size": 32, "width": 8, "latent_dim": 4, "batch_size": 1}),
    "progan": (progressive.FAMILY, ProGANConfig, PROGRESSIVE),
    "stylegan": (progressive.FAMILY, StyleGANConfig, PROGRESSIVE | {"w_dim": 4, "mapping_layers": 2}),
    "split-shuffle": (
        split_shuffle.FAMILY,
        SplitShuffleConfig,
        {"shape": (4, 8, 4), "doublings": 2, "channels": 4, "z_dim": 4, "w_dim": 4, "batch_size": 1},
    ),
}
STARTING = ("hagan", "progan", "stylegan")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    array = np.random.default_rng(0).integers(-900, 400, (9, 12, 8)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), folder / "scan.nii.gz")
    return folder


def train(family: str, scans: Path, out: Path, **changes: Any) -> Path:
    described, kind, sizes = RUNS[family]
    values = {"data": scans, "out": out, "trim_blank_slices": False, "save_every": 1, **sizes, **changes}
    return course.train(kind.model_validate(values), described)


def add_encoder(model: Path, scans: Path, out: Path, iterations: int) -> Path:
    values = {"data": scans, "out": out, "model": model, "iterations": iterations, "batch_size": 1}
    return course.train(EncoderConfig.model_validate(values), encoder.FAMILY)


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def iterations_of(folder: Path) -> dict[str, int]:
    return ModelCard.model_validate_json((folder / "card.json").read_bytes()).provenance.iterations


@pytest.mark.parametrize("still_names_it", [True, False])
@pytest.mark.parametrize("family", STARTING)
def test_a_resumed_run_needs_no_more_what_it_started_from(
    family: str, still_names_it: bool, scans: Path, tmp_path: Path
) -> None:
    first = train(family, scans, tmp_path / "first", iterations=1)
    whole = train(family, scans, tmp_path / "whole", iterations=2, start_from=first)
    train(family, scans, tmp_path / "parts", iterations=1, start_from=first)
    shutil.rmtree(first)
    start = {"start_from": first} if still_names_it else {}
    parts = train(family, scans, tmp_path / "parts", iterations=2, **start)
    assert weights(parts) == weights(whole)
    assert iterations_of(parts) == {"adversarial": 2}


def test_the_command_resumes_without_what_it_started_from(scans: Path, tmp_path: Path) -> None:
    first = train("progan", scans, tmp_path / "first", iterations=1)
    sizes = ["--base", "1", "2", "1", "--stages", "2", "--channels", "2", "--critic-channels", "2", "--z-dim", "4",
             "--stage-samples", "4", "--batch-size", "1", "--critic-steps", "1"]  # fmt: skip
    places = ["--data", str(scans), "--out", str(tmp_path / "run"), "--start-from", str(first)]
    command = ["train", "progan", *places, *sizes, "--keep-blank-slices", "--iterations"]
    assert CliRunner().invoke(app, [*command, "1"]).exit_code == 0
    shutil.rmtree(first)
    done = CliRunner().invoke(app, [*command, "2"])
    assert done.exit_code == 0, done.output
    assert iterations_of(tmp_path / "run" / "progan") == {"adversarial": 2}


@pytest.mark.parametrize("family", STARTING)
def test_a_new_run_that_starts_from_nothing_is_wrong_use(family: str, scans: Path, tmp_path: Path) -> None:
    places = ["--data", str(scans), "--out", str(tmp_path / "run"), "--start-from", str(tmp_path / "none")]
    done = CliRunner().invoke(app, ["train", family, *places])
    assert done.exit_code == 2
    assert "--start-from: there is no such folder" in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


def _of_progressive(state: dict[str, Any]) -> dict[str, Any]:
    del state["first"]
    return state | _by_network(state.pop("networks"))


def _of_encoder(state: dict[str, Any]) -> dict[str, Any]:
    return state | {"networks": _by_network(state["networks"])}


def _by_network(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, own = key.partition(".")
        parts.setdefault(name, {})[own] = tensor
    return parts


def rewrite(checkpoint: Path, older: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """As it was written before all trainers had one layout."""
    torch.save(older(torch.load(checkpoint, weights_only=True)), checkpoint)


@pytest.mark.parametrize("family", ["progan", "stylegan"])
def test_a_run_with_an_older_checkpoint_goes_on(family: str, scans: Path, tmp_path: Path) -> None:
    first = train(family, scans, tmp_path / "first", iterations=1)
    whole = train(family, scans, tmp_path / "whole", iterations=2, start_from=first)
    train(family, scans, tmp_path / "parts", iterations=1, start_from=first)
    rewrite(tmp_path / "parts" / CHECKPOINT, _of_progressive)
    parts = train(family, scans, tmp_path / "parts", iterations=2, start_from=first)
    assert weights(parts) == weights(whole)
    assert iterations_of(parts) == {"adversarial": 2}


def test_an_encoders_run_with_an_older_checkpoint_goes_on(scans: Path, tmp_path: Path) -> None:
    model = train("stylegan", scans, tmp_path / "model", iterations=1)
    whole = add_encoder(model, scans, tmp_path / "whole", 2)
    add_encoder(model, scans, tmp_path / "parts", 1)
    rewrite(tmp_path / "parts" / CHECKPOINT, _of_encoder)
    assert weights(add_encoder(model, scans, tmp_path / "parts", 2)) == weights(whole)
    assert whole.name == "stylegan"


def test_a_state_without_networks_is_none() -> None:
    with pytest.raises(LookupError):
        networks_in({"iteration": 1})


@pytest.mark.parametrize("family", RUNS)
def test_an_export_replaces_the_model_and_leaves_its_directions(family: str, scans: Path, tmp_path: Path) -> None:
    folder = train(family, scans, tmp_path, iterations=1)
    before = weights(folder)
    (folder / DIRECTIONS).mkdir()
    (folder / DIRECTIONS / "size.json").write_text("{}")
    assert train(family, scans, tmp_path, iterations=2) == folder
    assert weights(folder) != before
    assert (folder / DIRECTIONS / "size.json").read_text() == "{}"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith((".importing", ".replaced"))]
