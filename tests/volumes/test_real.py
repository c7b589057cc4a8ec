"""Real scans from the folder beside the project, read as nibabel and SimpleITK read them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.support.volume_samples import seen_by_sitk
from volumes.files import read, write
from volumes.grids.grid import grid_of, network_grid, resample
from volumes.intensity import window_of
from volumes.preview import three_planes
from volumes.similarity import psnr
from volumes.upload_check import check

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
SCANS = sorted(path for kind in ("*.nii.gz", "*.nrrd", "*.mha") for path in DATA.glob(kind))

pytestmark = pytest.mark.skipif(not SCANS, reason="the real scans of ../shared/data are not here")


@pytest.mark.parametrize("path", SCANS, ids=lambda path: path.name)
def test_real_scans_are_read_as_others_read_them(path: Path) -> None:
    volume = read(path)
    array, affine = seen_by_sitk(path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    header = check(path)
    assert header.shape == volume.shape
    if path.suffix == ".gz":
        np.testing.assert_allclose(volume.affine, nib.load(path).affine, atol=1e-5)
    assert three_planes(volume, window_of(volume.array, (0, 0.997))).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["fnndsc_adi_brain_T1_from_dicom.nii.gz", "innereye_thorax_ct_small.nii.gz"])
def test_a_real_scan_comes_back_from_the_models_grid(name: str, tmp_path: Path) -> None:
    scan = read(DATA / name)
    low, high = window_of(scan.array, (0, 1))
    grid = network_grid(scan, (128, 192, 192), "IAL", (1, 1, 1), "stretch")
    back = resample(resample(scan, grid, low), grid_of(scan), low)
    assert psnr(back.array, scan.array.astype("f4"), high - low) > 25
    write(back, tmp_path / "back.nii.gz", format="nii.gz", provenance={})
    np.testing.assert_allclose(nib.load(tmp_path / "back.nii.gz").affine, nib.load(DATA / name).affine, atol=1e-4)
