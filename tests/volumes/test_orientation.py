"""Every voxel stays where it was in the patient, whichever way the axes run and whatever the format."""

from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pytest

from tests.support.volume_samples import ALL_CODES, SHAPE, numbered, placement, places, seen_by_sitk, turned
from volumes.files import FileFormat, read, write
from volumes.orientation import from_network, in_ras_order, reorient, to_network, trim_blank, with_orientation
from volumes.volume import Volume, VolumeError

FORMATS = [name for name in get_args(FileFormat) if name not in ("npy", "dicom")]


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("codes", ALL_CODES)
def test_turning_agrees_with_nibabel_and_moves_nothing(codes: str, oblique: bool) -> None:
    given = Volume(numbered(), placement(oblique))
    there = reorient(given, codes)
    expected = turned(given.array, given.affine, codes)
    assert there.axis_codes == codes == "".join(nib.aff2axcodes(there.affine))
    np.testing.assert_array_equal(there.array, expected.array)
    np.testing.assert_allclose(there.affine, expected.affine, atol=1e-12)
    np.testing.assert_allclose(places(there.array, there.affine), places(given.array, given.affine), atol=1e-9)
    back = reorient(there, given.axis_codes)
    np.testing.assert_array_equal(back.array, given.array)


@pytest.mark.parametrize("codes", ALL_CODES)
def test_every_format_keeps_every_voxel_in_place(codes: str, tmp_path: Path) -> None:
    for oblique in (False, True):
        volume = turned(numbered(), placement(oblique), codes)
        truth = places(numbered(), placement(oblique))
        for form in FORMATS:
            # A name of its own: ITK reads x.nii where it is asked for x.nii.gz and both are there.
            path = tmp_path / f"{form.replace('.', '-')}{oblique}.{form}"
            write(volume, path, format=form, window=(0, 200), provenance={"model": "tiny"})
            again = read(path)
            assert again.axis_codes == codes
            np.testing.assert_allclose(places(again.array, again.affine), truth, atol=2e-5)
            array, affine = seen_by_sitk(path)
            np.testing.assert_array_equal(array, volume.array)
            np.testing.assert_allclose(affine, volume.affine, atol=1e-5)
            if form.startswith("nii"):
                image = nib.load(path)
                np.testing.assert_array_equal(np.asanyarray(image.dataobj), volume.array)
                np.testing.assert_allclose(image.affine, volume.affine, atol=1e-5)
                np.testing.assert_allclose(image.get_qform(), volume.affine, atol=1e-5)


def test_npy_holds_the_array_in_ras_order(tmp_path: Path) -> None:
    volume = turned(numbered(), placement(oblique=False), "PIR")
    write(volume, tmp_path / "x.npy", format="npy", provenance={})
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), numbered())


@pytest.mark.parametrize("codes", ALL_CODES)
def test_crossing_to_the_network_and_back_is_exact(codes: str) -> None:
    array = numbered()  # RAS
    network = to_network(array, codes)
    assert network.flags.c_contiguous
    np.testing.assert_array_equal(network, turned(array, np.eye(4), codes).array)
    np.testing.assert_array_equal(from_network(network, codes), array)
    assert in_ras_order(network.shape, codes) == SHAPE


def test_hagan_axes_put_the_left_of_the_patient_where_the_authors_had_it() -> None:
    """CT as the authors load it is z, y, x of an LPS array: A2 grows to the left. Brains are IAL."""
    ras = np.zeros(SHAPE, np.int16)
    ras[0, -1, -1] = 1  # the leftmost, foremost, topmost voxel
    assert np.argwhere(to_network(ras, "SPL")).tolist() == [[SHAPE[2] - 1, 0, SHAPE[0] - 1]]
    assert np.argwhere(to_network(ras, "IAL")).tolist() == [[0, SHAPE[1] - 1, SHAPE[0] - 1]]


def test_declared_directions_replace_wrong_ones_about_the_same_centre() -> None:
    wrong = Volume(numbered(), placement(oblique=True))
    right = with_orientation(wrong, "LIP")
    middle = np.append((np.array(SHAPE) - 1) / 2, 1)
    assert right.axis_codes == "LIP"
    assert right.array is wrong.array
    np.testing.assert_allclose(right.spacing_mm, wrong.spacing_mm)
    np.testing.assert_allclose(right.affine @ middle, wrong.affine @ middle)


@pytest.mark.parametrize("codes", ["RAS", "LIA", "IPR", "ASL"])
def test_blank_axial_slices_are_cut_at_both_ends_only(codes: str) -> None:
    array = numbered() + 10
    array[:, :, 0] = array[:, :, 3] = array[:, :, 5:] = 5  # slice 3 is blank too, but inside
    volume = turned(array, placement(oblique=False), codes)
    cut = reorient(trim_blank(volume, 5))
    np.testing.assert_array_equal(cut.array, array[:, :, 1:5])
    np.testing.assert_allclose(cut.affine[:3, 3], placement(oblique=False) @ [0, 0, 1, 1] @ np.eye(4, 3), atol=1e-9)


def test_a_blank_scan_cannot_be_cut() -> None:
    with pytest.raises(VolumeError, match="blank"):
        trim_blank(Volume(np.zeros(SHAPE, np.int16), np.eye(4)), 0)


def test_axis_codes_name_each_direction_once() -> None:
    with pytest.raises(ValueError, match="each direction once"):
        reorient(Volume(numbered(), np.eye(4)), "RLS")
