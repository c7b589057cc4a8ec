"""Files that real tools wrote, with what nibabel and SimpleITK say of them: ../shared/cases beside the checkout."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tests.support.volume_samples import seen_by_sitk
from volumes import assumptions
from volumes.files import read, write
from volumes.formats import is_readable_here
from volumes.two_files import as_one_file
from volumes.upload_check import check
from volumes.volume import Volume

FOLDER = Path(__file__).parents[3] / "shared" / "cases" / "volumes"
SAID = json.loads((FOLDER / "what_readers_say.json").read_text()) if FOLDER.is_dir() else {}
NAMES = sorted(SAID) or [pytest.param("none", marks=pytest.mark.skip(reason=f"{FOLDER} is not there"))]
OF_TWO_READERS = {
    "n08_sform_code1_zeros_qform_good.nii": "SimpleITK",
    "u_shear_0.01_sform1_qform1.nii": "nibabel",
    "n09_negative_pixdim_qform.nii": "nibabel",
    "n10_no_form_codes.nii": "nibabel",
    "real_head_form_codes_0_0_left_right_mirrored.nii.gz": "nibabel",
}
"""Which one is right where they differ."""
ASSUMED = {
    "n04_bitpix_32_for_uint8_julia.nii": {assumptions.BITS},
    "n08_sform_code1_zeros_qform_good.nii": {assumptions.QFORM_FOR_SFORM},
    "n09_negative_pixdim_qform.nii": {assumptions.VOXEL_SIGN},
    "n10_no_form_codes.nii": {assumptions.NIFTI_PLACE},
    "real_head_form_codes_0_0_left_right_mirrored.nii.gz": {assumptions.NIFTI_PLACE},
    "r01_microns.nrrd": {assumptions.LPS, assumptions.ORIGIN},
    "r05_spacings_axis_mins.nrrd": {assumptions.LPS},
    "t01_intensity_slope_2_offset_-1024.mha": {assumptions.METAIMAGE_SCALING},
}


def _volume(name: str) -> Volume:
    with as_one_file(FOLDER / name) as one:
        assert check(one).assumed == read(one).assumed
        return read(one)


def _said(name: str) -> dict[str, Any]:
    readers = SAID[name]
    said = dict(readers[OF_TWO_READERS.get(name, next(iter(readers)))])
    affine = np.array(said["affine"])
    if name == "r01_microns.nrrd":  # which SimpleITK leaves in microns
        affine[:3] /= 1000
    return said | {"affine": affine}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_lies_where_readers_put_it_and_holds_what_they_find(name: str) -> None:
    volume, said = _volume(name), _said(name)
    assert is_readable_here(name)
    assert list(volume.shape) == said["shape"]
    np.testing.assert_allclose(volume.affine, said["affine"], atol=1e-4)
    assert float(volume.array.mean(dtype=np.float64)) == pytest.approx(said["mean"], abs=1e-3)
    assert set(volume.assumed) == ASSUMED.get(name, set())


@pytest.mark.parametrize("form", ["nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_on_its_grid_lies_on_it_and_itk_opens_it(name: str, form: str, tmp_path: Path) -> None:
    volume = _volume(name)
    path = tmp_path / f"x.{form}"
    write(volume, path, format=form, provenance={"assumed": [*volume.assumed]})
    array, affine = seen_by_sitk(path)
    np.testing.assert_array_equal(array, volume.array)
    np.testing.assert_allclose(affine, volume.affine, atol=0.06)  # of the sheared one, the nearest rotation
    if form == "nii.gz":
        np.testing.assert_allclose(nib.load(path).affine, volume.affine, atol=1e-4)
