"""What a scan's file leaves open goes with the job: into its record, and into what is written on the scan."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from model_store.catalogue import Catalogue
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.volume_samples import nifti_1, seen_by_sitk
from volumes import assumptions
from volumes.files import read
from workers.bench import Bench
from workers.run import run
from workers.writing.folder_sink import FolderSink

BLOB = (800 * np.exp(-sum((axis - 9) ** 2 for axis in np.mgrid[:24, :20, :16]) / 30) - 900).astype(np.int16)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    write_tiny_hagan(tmp_path / "models", "tiny")
    return Bench(Catalogue([tmp_path / "models"]), threads=1)


def _run(kind: str, body: dict, bench: Bench, folder: Path, scan: Path | None = None):
    return run(kind, {"model": "tiny"} | body, scan, bench, FolderSink(folder))


def test_an_assumed_orientation_is_recorded_written_and_passed_on_to_edits(bench: Bench, tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    scan.write_bytes(nifti_1(BLOB, sform=0, pixdim=(1, 3, 2, 4, 0, 0, 0, 0)))
    made = _run("encode", {"reconstruct": True}, bench, tmp_path / "out", scan)
    assert made.assumed == [assumptions.NIFTI_PLACE]
    assert made.placement is not None
    assert made.placement.assumed == made.assumed
    image = nibabel.load(tmp_path / "out" / "001.nii.gz")
    np.testing.assert_allclose(image.affine, nibabel.load(scan).affine)
    assert (image.header["sform_code"], image.header["qform_code"]) == (2, 2)
    assert json.loads(image.header.extensions[0].text)["assumed"] == made.assumed
    payload = {
        "source": {"latent": made.latents[0]},
        "edit": {"op": "interpolate", "target": {"seed": 1}, "steps": 2},
        "placement": made.placement.model_dump(mode="json"),
    }
    edited = _run("edit", payload, bench, tmp_path / "edited")
    assert edited.assumed == made.assumed
    assert nibabel.load(tmp_path / "edited" / "001.nii.gz").header["sform_code"] == 2


def test_nothing_is_said_where_nothing_is_open(bench: Bench, tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    scan.write_bytes(nifti_1(BLOB))
    assert _run("encode", {"reconstruct": True}, bench, tmp_path / "out", scan).assumed == []
    image = nibabel.load(tmp_path / "out" / "001.nii.gz")
    assert image.header["sform_code"] == 1
    assert "assumed" not in json.loads(image.header.extensions[0].text)


@pytest.mark.parametrize("form", ["mha", "nrrd", "nii.gz"])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_unit_values_are_in_0_to_1_for_every_reader(form: str, dtype: str, bench: Bench, tmp_path: Path) -> None:
    """MetaImage and NRRD cannot say what a step of whole numbers is worth: they hold real ones, and that is said."""
    output = {"format": form, "dtype": dtype, "intensity": "unit", "preview": False}
    made = _run("generate", {"seed": 3, "output": output}, bench, tmp_path / "out")
    path = tmp_path / "out" / f"000.{form}"
    array = seen_by_sitk(path)[0]
    assert 0 <= array.min() < array.max() <= 1
    np.testing.assert_allclose(array, read(path).array, atol=1e-6)
    is_replaced = form != "nii.gz" and dtype != "float32"
    assert made.assumed == ([assumptions.UNIT_AS_REAL] if is_replaced else [])
