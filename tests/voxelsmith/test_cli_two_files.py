"""encode on the command line: scans in two files, and what a scan's header leaves open."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.dicom_samples import archive, saved, slices, voxels
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


def _encode(models: Path, scan: Path, out: Path, *more: str) -> Result:
    words = ["--models", models, "encode", scan, "--model", "tiny", "--out", out, *more]
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


def test_a_dicom_series_is_encoded_from_a_folder_and_from_an_archive_with_another(models: Path, tmp_path: Path) -> None:
    folder, both = tmp_path / "series", tmp_path / "both.zip"
    folder.mkdir()
    for k, image in enumerate(slices()):
        (folder / str(k)).write_bytes(saved(image))
    archive([*slices(), *slices(voxels()[:, :, :3], number=8)], both)
    result = _encode(models, folder, tmp_path / "a")
    assert result.exit_code == 0, result.output
    refused = _encode(models, both, tmp_path / "b")
    assert refused.exit_code == 1
    assert "8 (CT, 3 images of 7 x 5)" in " ".join(refused.output.split())
    result = _encode(models, both, tmp_path / "b", "--series", "3")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a" / "latents.npy").read_bytes() == (tmp_path / "b" / "latents.npy").read_bytes()
    assert not [path for path in (tmp_path / "b").iterdir() if b"lanted" in path.read_bytes()]


def test_what_was_assumed_is_printed(models: Path, tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_bytes(nifti_1(VOXELS, sform=0))
    result = _encode(models, tmp_path / "x.nii", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "assumed: The header gives no orientation" in result.output
