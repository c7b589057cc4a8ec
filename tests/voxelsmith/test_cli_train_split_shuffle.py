"""voxelsmith train split-shuffle: scans with unequal sides to a model that generates through a worker."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


def voxelsmith(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voxelsmith", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(3)
    for index in range(2):
        array = (rng.normal(size=(16, 12, 8)) * 300 - 200).astype(np.int16)
        nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 4.0, 1.0])), folder / f"scan{index}.nii.gz")
    return folder


SMALL = (
    "--doublings",
    "2",
    "--channels",
    "4",
    "--z-dim",
    "4",
    "--w-dim",
    "4",
    "--iterations",
    "2",
    "--batch-size",
    "2",
)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_model_trained_on_slices_and_volumes_generates(scans: Path, tmp_path: Path) -> None:
    options = [
        *SMALL,
        "--shape",
        "4",
        "12",
        "8",
        "--pretrain-2d",
        "2",
        "--inflation",
        "inflate-nwi",
        "--name",
        "hearts",
    ]
    done = voxelsmith("train", "split-shuffle", "--data", scans, "--out", tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "run" / "hearts")
    sampling = ["--seed", "0", "--truncation", "0.7", "--noise", "random"]
    made = voxelsmith(
        "--models", tmp_path / "run", "generate", "--model", "hearts", *sampling, "--out", tmp_path / "made"
    )
    assert made.returncode == 0, made.stderr
    assert sorted(nib.load(tmp_path / "made" / "seed-0_truncation-0.7_noise-0.nii.gz").shape) == [4, 8, 12]


def test_sizes_that_do_not_fit_are_said_in_one_line(scans: Path, tmp_path: Path) -> None:
    done = voxelsmith("train", "split-shuffle", "--data", scans, "--out", tmp_path, "--shape", "40", "64", "65")
    assert done.returncode == 2
    assert "--doublings" in done.stderr
    assert "divide by 16" in done.stderr
    assert "Traceback" not in done.stderr
