"""voxelsmith train: phantoms to a data set, the data set to a model that serves; wrong use and bad data say so."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voxelsmith.cli import app


def voxelsmith(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voxelsmith", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "phantoms"
    done = voxelsmith("train", "phantoms", "--out", folder, "--count", "2", "--seed", "5")
    assert done.returncode == 0, done.stderr
    return folder


def test_phantoms_come_with_their_truth(phantoms: Path) -> None:
    with (phantoms / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["5", "6"]
    assert all((phantoms / row["file"]).exists() and float(row["lung_volume_ml"]) > 500 for row in rows)


@pytest.mark.slow
def test_a_model_trained_on_them_generates(phantoms: Path, tmp_path: Path) -> None:
    small = ["--size", "32", "--width", "8", "--latent-dim", "4", "--iterations", "2", "--batch-size", "2"]
    done = voxelsmith("train", "hagan", "--data", phantoms, "--out", tmp_path / "run", "--name", "lungs", *small)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("lungs")
    made = voxelsmith(
        "--models", tmp_path / "run", "generate", "--model", "lungs", "--seed", "0", "--out", tmp_path / "made"
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "made" / "seed-0.nii.gz").exists()


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        (["--size", "100"], 2, "--size"),
        (["--width", "12"], 2, "--width"),
        (["--size", "32", "--width", "8", "--latent-dim", "4", "--classes", "a,b"], 1, "labels.csv"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    phantoms: Path, tmp_path: Path, changes: list[str], code: int, says: str
) -> None:
    places = ["--data", str(phantoms), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, ["train", "hagan", *places, "--iterations", "1", *changes])
    assert done.exit_code == code
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
