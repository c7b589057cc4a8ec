"""A run that does not fit what lies in its folder is refused in one line, and what lies there stays as it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.support.models.tiny_progan import write_progan
from training.engine.beginning import check_folders
from training.engine.course import resume, train
from training.engine.errors import DataRefused
from training.hagan import trainer as hagan
from training.hagan.config import HAGANConfig
from training.hagan.trainer import HAGANTrainer
from training.progressive import encoder
from training.progressive import trainer as progressive
from training.progressive.config import EncoderConfig, ProGANConfig
from training.progressive.trainer import ProgressiveTrainer
from training.split_shuffle import trainer as split_shuffle
from training.split_shuffle.config import SplitShuffleConfig
from voxelsmith.cli import app


def scans(out: Path) -> Path:
    """A folder beside a run's that has a scan, if none that can be read."""
    folder = out.parent / f"{out.name}-scans"
    folder.mkdir(exist_ok=True)
    (folder / "scan.nii").touch()
    return folder


def hagan_config(out: Path, **changes: Any) -> HAGANConfig:
    return HAGANConfig.model_validate(
        {"data": scans(out), "out": out, "size": 32, "width": 8, "latent_dim": 4, **changes}
    )


def progan_config(out: Path, **changes: Any) -> ProGANConfig:
    sizes = {"base": (1, 2, 1), "stages": 2, "channels": 2, "critic_channels": 2, "z_dim": 4}
    return ProGANConfig.model_validate({"data": scans(out), "out": out, **sizes, **changes})


def split_shuffle_config(out: Path, **changes: Any) -> SplitShuffleConfig:
    sizes = {"shape": (4, 8, 8), "doublings": 2, "channels": 4, "z_dim": 4, "w_dim": 4}
    return SplitShuffleConfig.model_validate({"data": scans(out), "out": out, **sizes, **changes})


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a HA-GAN run that was broken off."""
    config = hagan_config(tmp_path)
    torch.save(HAGANTrainer(config).state(), tmp_path / "checkpoint.pt")
    (tmp_path / "config.json").write_text(config.model_dump_json())
    return tmp_path


def test_a_checkpoint_of_other_networks_is_refused(run: Path) -> None:
    (run / "checkpoint-2d.pt").write_bytes(b"")  # as after a loss of power
    card = write_progan(run, critic=False)
    before = files_of(run)
    encoding = {"data": scans(run), "out": run, "model": run / card.name, "name": "other"}
    runs: tuple[tuple[Any, Any], ...] = (
        (hagan.FAMILY, hagan_config(run, width=16)),
        (progressive.FAMILY, progan_config(run)),
        (split_shuffle.FAMILY, split_shuffle_config(run)),
        (encoder.FAMILY, EncoderConfig.model_validate(encoding)),
    )
    for family, config in runs:
        with pytest.raises(
            DataRefused, match=r"(began with other options: --width \(there 8\)|of another family).* --out"
        ):
            train(config, family)
    (run / "checkpoint.pt").rename(run / "kept")
    (run / "config.json").rename(run / "kept.json")
    with pytest.raises(DataRefused, match=r"checkpoint-2d\.pt is damaged"):
        train(split_shuffle_config(run, pretrain_2d=1), split_shuffle.FAMILY)
    (run / "kept.json").rename(run / "config.json")
    (run / "kept").rename(run / "checkpoint.pt")
    assert files_of(run) == before


def test_the_command_says_it_in_one_line(run: Path) -> None:
    places = ["--data", str(scans(run)), "--out", str(run)]
    done = CliRunner().invoke(app, ["train", "hagan", *places, "--size", "32", "--width", "16", "--latent-dim", "4"])
    assert done.exit_code == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"voxelsmith: the run in {run} began with other options")
    assert "Traceback" not in done.stderr


def test_a_model_is_not_replaced_by_itself_with_an_encoder(tmp_path: Path) -> None:
    card = write_progan(tmp_path, critic=False)
    before = files_of(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for out in (tmp_path, tmp_path / "link"):
        places = {"data": scans(tmp_path), "out": out, "model": tmp_path / card.name, "name": card.name}
        with pytest.raises(DataRefused, match="would replace"):
            train(EncoderConfig.model_validate(places), encoder.FAMILY)
    assert files_of(tmp_path) == before


def test_a_model_is_replaced_by_its_own_run_alone(tmp_path: Path) -> None:
    card = write_progan(tmp_path, critic=False)
    config = progan_config(tmp_path, name=card.name)
    with pytest.raises(DataRefused, match="not of this run"):
        train(config, progressive.FAMILY)
    (tmp_path / "config.json").write_text(config.model_copy(update={"name": "another"}).model_dump_json())
    with pytest.raises(DataRefused, match="not of this run"):
        check_folders(config)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    check_folders(config)


@pytest.mark.parametrize("damage", ["no file", "no safetensors"])
def test_a_folder_without_a_model_is_nothing_to_start_from(tmp_path: Path, damage: str) -> None:
    folder, out = tmp_path / "model", tmp_path / "run"
    folder.mkdir()
    if damage == "no safetensors":
        (folder / "weights.safetensors").write_bytes(b"PK")
    runs: tuple[tuple[Any, Any], ...] = (
        (hagan.FAMILY, hagan_config(out, start_from=folder)),
        (progressive.FAMILY, progan_config(out, start_from=folder)),
    )
    for family, config in runs:
        with pytest.raises(DataRefused, match=r"weights\.safetensors is missing or damaged"):
            train(config, family)
    encoding = {"data": scans(out), "out": out, "model": folder, "name": "mine"}
    with pytest.raises(DataRefused, match=r"card\.json is missing"):
        train(EncoderConfig.model_validate(encoding), encoder.FAMILY)
    assert not out.exists()


def test_a_checkpoint_of_the_same_networks_is_taken_up(tmp_path: Path) -> None:
    trainer = ProgressiveTrainer(progan_config(tmp_path))
    trainer.iteration = 3
    torch.save(trainer.state(), tmp_path / "checkpoint.pt")
    again = ProgressiveTrainer(progan_config(tmp_path, seed=1))
    assert resume(again, tmp_path / "checkpoint.pt", "cpu")
    assert again.iteration == 3
    assert not resume(again, tmp_path / "none.pt", "cpu")


def test_a_folder_without_scans_is_refused_before_networks_are_made(run: Path) -> None:
    """And so before the checkpoint is held against them, which is of others."""
    with pytest.raises(DataRefused, match="no scans"):
        train(hagan_config(run, data=run, width=16), hagan.FAMILY)
