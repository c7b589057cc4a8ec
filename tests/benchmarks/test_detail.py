"""The command that measures detail, on a shipped model."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from benchmarks.detail import Comparison, Detail, median, of_samples, reconstruct, scans_at, text_of
from evaluation.errors import EvaluationRefused
from model_store.catalogue import SHIPPED, Catalogue
from model_store.load import load
from volumes.files import read
from volumes.scan import preparation_by, prepare


def test_the_share_of_real_is_a_ratio_of_medians() -> None:
    samples = tuple(Detail("s", d) for d in (0.1, 0.02, 0.9))
    scans = tuple(Detail("r", d) for d in (0.2, 0.25, 0.3))
    assert Comparison("m", samples, scans).of_real == pytest.approx(0.4)
    assert Comparison("m", samples, ()).of_real is None
    assert "0.40  of the scans' detail" in text_of(Comparison("m", samples, scans))


def test_a_folder_gives_its_scans_by_name_and_a_scan_itself(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.mha", "c.zip", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in scans_at(tmp_path)] == ["a.mha", "b.nii.gz", "c.zip"]
    assert scans_at(tmp_path / "c.zip") == [tmp_path / "c.zip"]
    with pytest.raises(EvaluationRefused, match="no folder"):
        scans_at(tmp_path / "missing")


@pytest.mark.slow
def test_the_command_measures_samples_scans_and_reconstructions_of_a_shipped_model(tmp_path: Path) -> None:
    """On the smaller of the two, with a ball of noise as the scan."""
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 60)] * 3, indexing="ij"))
    ball = ((places**2).sum(0) < 0.8) * (200 + 50 * np.random.default_rng(0).random((60, 60, 60)))
    nib.save(nib.Nifti1Image(ball.astype(np.float32), np.diag([3.0, 3.0, 3.0, 1.0])), tmp_path / "ball.nii.gz")
    options = ["--seeds", "2", "--against", str(tmp_path), "--reconstruct", str(tmp_path / "ball.nii.gz"), "--json"]
    command = [sys.executable, "-m", "benchmarks.detail", "head-style-128", *options]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [one["name"] for one in found["samples"]] == ["seed 0", "seed 1"]
    assert found["scans"][0]["name"] == found["reconstructions"][0]["name"] == "ball.nii.gz"
    assert found["of_real"] == pytest.approx(
        np.median([one["detail"] for one in found["samples"]]) / found["scans"][0]["detail"]
    )
    assert found["reconstructions"][0]["psnr_db"] > 0


FLOORS = {"brain-demo-256": 0.17, "head-style-128": 0.11}
"""Under the medians that docs/models.md gives. A better model raises its floor."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOORS)
def test_a_shipped_model_keeps_its_detail(name: str) -> None:
    card = Catalogue([SHIPPED]).card(name)
    assert median(of_samples(load(SHIPPED / name, card), range(5))) >= FLOORS[name]


SCANS = Path(__file__).parents[3] / "shared" / "data"


LEAST_DB = {"seg3D_MR": 16.1, "fnndsc_adi_brain_T1_from_dicom": 15.5}


@pytest.mark.slow
@pytest.mark.skipif(not SCANS.exists(), reason="needs the shared volumes")
def test_heads_that_the_brain_model_has_not_seen_come_back_alike_and_sharp() -> None:
    """Each also more alike than the other one's reconstruction is, as an encoder that always says the same fails."""
    name = "brain-demo-256"
    card = Catalogue([SHIPPED]).card(name)
    model = load(SHIPPED / name, card)
    paths = [SCANS / f"{scan}.nii.gz" for scan in LEAST_DB]
    own = reconstruct(model, paths)
    scans = [torch.from_numpy(prepare(read(path), preparation_by(card)).array)[None, None] for path in paths]
    with torch.no_grad():
        made = [model.synthesise(model.encode(scan), None) for scan in scans]
    for found, least_db, scan, other in zip(own, LEAST_DB.values(), scans, reversed(made), strict=True):
        assert found.psnr_db >= least_db
        assert found.made >= 0.4 * found.scan
        assert found.psnr_db > 0.2 - 10 * float(((other - scan) / 2).square().mean().log10())
