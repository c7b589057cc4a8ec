"""encode on the command line: scans in two files, and what a scan's header leaves open."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.volume_samples import nifti_1, numbered
from voxelsmith.cli import app

VOXELS = numbered()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("VOXELSMITH_THREADS", "1")
    write_tiny_hagan(tmp_path / "models", "tiny")
    return tmp_path / "models"


def _encode(models: Path, scan: Path, out: Path) -> Result:
    words = ["--models", models, "encode", scan, "--model", "tiny", "--out", out]
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="voxelsmith")


def test_either_file_of_a_pair_is_encoded_and_replayed(models: Path, tmp_path: Path) -> None:
    nibabel.Nifti1Pair(VOXELS, np.eye(4)).to_filename(tmp_path / "x.img")
    latents = []
    for name in ("x.hdr", "x.img"):
        result = _encode(models, tmp_path / name, tmp_path / "out")
        assert result.exit_code == 0, result.output
        latents.append((tmp_path / "out" / "latents.npy").read_bytes())
    assert latents[0] == latents[1]
    words = ["--models", models, "replay", tmp_path / "out" / "provenance.json", "--scan", tmp_path / "x.hdr",
             "--out", tmp_path / "again"]  # fmt: skip
    again = CliRunner().invoke(app, [str(word) for word in words], prog_name="voxelsmith")
    assert again.exit_code == 0, again.output
    (tmp_path / "x.img").unlink()
    result = _encode(models, tmp_path / "x.hdr", tmp_path / "other")
    assert result.exit_code != 0
    assert "not beside its header" in " ".join(result.output.split())


def test_what_was_assumed_is_printed(models: Path, tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_bytes(nifti_1(VOXELS, sform=0))
    result = _encode(models, tmp_path / "x.nii", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "assumed: The header gives no orientation" in result.output
