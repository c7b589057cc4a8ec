"""Scans that a program holds: what is sent has their voxels and their place, whatever holds them."""

import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from tests.support.volume_samples import numbered, placement
from volumes.files import read
from voxelsmith import Client
from voxelsmith.http.scans import as_file
from voxelsmith.local import Stack

AFFINE = placement(oblique=True)


def held(kind: str, folder: Path) -> Any:
    """The volume `numbered()` at AFFINE, as a program may hold it."""
    image = nibabel.Nifti2Image(numbered(), AFFINE)
    made = {
        "array": lambda: (numbered(), AFFINE),
        "lists": lambda: (numbered().tolist(), AFFINE.tolist()),
        "float16": lambda: (numbered().astype(np.float16), AFFINE),
        "NIfTI-1": lambda: nibabel.Nifti1Image(numbered(), AFFINE),
        "NIfTI-2": lambda: image,
        "pair": lambda: nibabel.Nifti1Pair(numbered(), AFFINE),
        "MGH": lambda: nibabel.MGHImage(numbered("i4"), AFFINE),
        "path": lambda: str(folder / "scan.nii"),
        "bytes": image.to_bytes,
        "file": lambda: (folder / "scan.nii").open("rb"),
        "buffer": lambda: io.BytesIO(image.to_bytes()),
    }
    image.to_filename(folder / "scan.nii")
    return made[kind]()


@pytest.mark.parametrize(
    "kind",
    ["array", "lists", "float16", "NIfTI-1", "NIfTI-2", "pair", "MGH", "path", "bytes", "file", "buffer"],
)
def test_voxels_and_place_are_kept(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scan = held(kind, tmp_path)
    with as_file(scan) as path:
        volume = read(path)
    if kind == "file":
        scan.close()
    assert np.array_equal(volume.array, numbered())
    if kind == "MGH":  # whose affine nibabel makes of direction cosines and a centre
        np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    else:
        assert np.array_equal(volume.affine, AFFINE)
    assert not volume.assumed
    assert not caplog.records, "nibabel has nothing to say to the user"
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii"]


def test_the_values_are_those_that_the_images_scaling_makes(tmp_path: Path) -> None:
    """nibabel would write them anew in 16 bits of its own choice."""
    image = nibabel.Nifti1Image(numbered(), AFFINE)
    image.header.set_slope_inter(2.5, -1024)
    image.to_filename(tmp_path / "scaled.nii")
    with as_file(nibabel.load(tmp_path / "scaled.nii")) as path:
        sent = read(path)
    assert np.array_equal(sent.array, read(tmp_path / "scaled.nii").array)


def test_what_an_images_header_leaves_open_stays_open(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(numbered(), None)
    image.header.set_zooms((0.5, 1, 2))
    image.header.set_xyzt_units("unknown")
    image.to_filename(tmp_path / "open.nii")
    with as_file(nibabel.load(tmp_path / "open.nii")) as path:
        sent, whole = read(path), read(tmp_path / "open.nii")
    assert sent.assumed == whole.assumed
    assert len(sent.assumed) >= 1
    assert np.array_equal(sent.affine, whole.affine)


def test_microns_stay_microns() -> None:
    image = nibabel.Nifti1Image(numbered(), np.diag([700.0, 900.0, 2500.0, 1.0]))
    image.header.set_xyzt_units("micron")
    with as_file(image) as path:
        assert read(path).spacing_mm == pytest.approx((0.7, 0.9, 2.5))


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (np.zeros((2, 2, 2)), "with its affine"),
        ((np.zeros((2, 2, 2)), np.eye(3)), r"\(4, 4\)"),
        (io.StringIO("text"), "'rb'"),
        (7, "from a int"),
    ],
)
def test_what_holds_no_scan_is_refused_with_what_to_do(scan: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words), as_file(scan):
        pass


def test_an_image_comes_back_on_its_own_grid(stack: Stack) -> None:
    array = np.zeros((20, 24, 28), np.float32)
    array[5:15, 6:18, 7:21] = 400
    affine = AFFINE @ np.diag([3.0, 3.0, 1.0, 1.0])
    with Client(stack.url) as client:
        job = client.encode(nibabel.Nifti1Image(array, affine), model="tiny", reconstruct=True)
        back = next(k for k, entry in enumerate(job.wait().results) if tuple(entry["shape"]) == array.shape)
        np.testing.assert_allclose(job.volume(back).affine, affine, atol=1e-5)
        assert "assumed" in job.record
