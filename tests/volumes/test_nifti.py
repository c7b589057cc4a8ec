"""NIfTI: what the strict reader understands, beside nibabel and SimpleITK, and what the writer leaves in the file."""

import gzip
import json
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.support.volume_samples import SHAPE, nifti_1, numbered, placement, seen_by_sitk
from volumes import assumptions
from volumes.files import read, write
from volumes.upload_check import check
from volumes.volume import Volume

VOXELS = numbered()
PROVENANCE = {"model": "brain-demo-256", "seed": 42, "latent": [0.5, -1.25]}


def _put(data: bytes, path: Path) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_both_byte_orders_and_packings_read_the_same(order: str, packed: bool, tmp_path: Path) -> None:
    data = nifti_1(VOXELS, order)
    path = _put(gzip.compress(data) if packed else data, tmp_path / "x")
    volume = read(path)
    np.testing.assert_array_equal(volume.array, VOXELS)
    assert volume.array.dtype == np.int16
    assert volume.array.dtype.isnative
    np.testing.assert_array_equal(volume.affine, [[2, 0, 0, -5], [0, 3, 0, -6], [0, 0, 4, 7], [0, 0, 0, 1]])
    header = check(path)
    assert (header.format, header.data_offset, header.codec) == (
        ("nii.gz", 352, "gzip") if packed else ("nii", 352, "raw")
    )


def test_sform_is_preferred_over_qform(tmp_path: Path) -> None:
    both = nifti_1(VOXELS, qform=1, quatern=(0, 0, 1), qoffset=(9, 9, 9))
    assert read(_put(both, tmp_path / "x.nii")).affine[0, 3] == -5


@pytest.mark.parametrize("handed", [1.0, -1.0, 0.0])
def test_qform_agrees_with_nibabel_and_sitk(handed: float, tmp_path: Path) -> None:
    fields = {"quatern": (0.1, -0.5, 0.62), "qoffset": (4, -5, 6), "pixdim": (handed, 0.7, 0.8, 2.5, 0, 0, 0, 0)}
    path = _put(nifti_1(VOXELS, sform=0, qform=1, **fields), tmp_path / "x.nii")
    volume = read(path)
    np.testing.assert_allclose(volume.affine, nib.load(path).affine, atol=1e-5)
    np.testing.assert_allclose(volume.affine, seen_by_sitk(path)[1], atol=1e-5)


@pytest.mark.parametrize("sizes", [(2, 3, 4), (-2, 3, -4)])
def test_without_a_form_the_volume_lies_as_nibabel_and_fsl_take_it_and_that_is_said(
    sizes: tuple[float, ...], tmp_path: Path
) -> None:
    """LAS about the origin: taken as RAS, left and right would be exchanged."""
    path = _put(nifti_1(VOXELS, sform=0, pixdim=(1, *sizes, 0, 0, 0, 0)), tmp_path / "x.nii")
    volume = read(path)
    np.testing.assert_array_equal(volume.affine, nib.load(path).affine)
    assert volume.axis_codes == "LAS"
    assert assumptions.NIFTI_PLACE in volume.assumed
    assert check(path).assumed == volume.assumed
    assert not read(_put(nifti_1(VOXELS), tmp_path / "y.nii")).assumed


def test_a_placement_that_was_assumed_is_not_passed_on_as_the_scanners(tmp_path: Path) -> None:
    for assumed, code in (([], 1), ([assumptions.BITS], 1), ([assumptions.NIFTI_PLACE], 2)):
        provenance = {"assumed": assumed} if assumed else {}
        write(Volume(VOXELS, np.eye(4)), tmp_path / "x.nii", format="nii", provenance=provenance)
        header = nib.load(tmp_path / "x.nii").header
        assert (header["sform_code"], header["qform_code"]) == (code, code)


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (10, 1), (8, 1), (7, 1)])
def test_lengths_become_millimetres(units: int, factor: float, tmp_path: Path) -> None:
    sform = read(_put(nifti_1(VOXELS, units=units), tmp_path / "s.nii"))
    np.testing.assert_allclose(sform.spacing_mm, np.array([2, 3, 4]) * factor)
    np.testing.assert_allclose(sform.affine[:3, 3], np.array([-5, -6, 7]) * factor)
    sizes = (1, 2, 3, 4, 0, 0, 0, 0)
    qform = nifti_1(VOXELS, units=units, sform=0, qform=1, pixdim=sizes, qoffset=(1, 2, 3))
    np.testing.assert_allclose(read(_put(qform, tmp_path / "q.nii")).affine[:3, 3], np.array([1, 2, 3]) * factor)
    assert (assumptions.MILLIMETRES in read(tmp_path / "s.nii").assumed) == (units % 8 > 3)
    plain = nifti_1(VOXELS, units=units, sform=0, pixdim=sizes)
    np.testing.assert_allclose(read(_put(plain, tmp_path / "p.nii")).spacing_mm, np.array([2, 3, 4]) * factor)


@pytest.mark.parametrize(("slope", "inter", "scaled"), [
    (1, 0, False), (0, 5, False), (float("nan"), 0, False), (2.0078, 0, True), (1, -1024, True), (-0.5, 3, True),
])  # fmt: skip
def test_intensity_scaling(slope: float, inter: float, scaled: bool, tmp_path: Path) -> None:
    path = _put(nifti_1(VOXELS, slope=slope, inter=inter), tmp_path / "x.nii")
    array = read(path).array
    assert array.dtype == (np.float32 if scaled else np.int16)
    np.testing.assert_allclose(array, np.asanyarray(nib.load(path).dataobj), rtol=1e-5)


@pytest.mark.parametrize("dim", [(4, *SHAPE, 1, 1, 1, 1), (7, *SHAPE, 1, 1, 1, 1), (3, *SHAPE, 0, 0, 9, 0)])
def test_further_dimensions_of_one_are_accepted(dim: tuple[int, ...], tmp_path: Path) -> None:
    assert read(_put(nifti_1(VOXELS, dim=dim), tmp_path / "x.nii")).shape == SHAPE


@pytest.mark.parametrize("code", nib.nifti1.data_type_codes.code.keys() & {2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280})
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_every_plain_type_of_both_versions(code: int, kind: type, tmp_path: Path) -> None:
    dtype = nib.nifti1.data_type_codes.type[code]
    image = kind(VOXELS.astype(dtype), placement(oblique=True), dtype=dtype)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"a note"))
    image.to_filename(tmp_path / "x.nii.gz")
    volume = read(tmp_path / "x.nii.gz")
    assert volume.array.dtype == (np.float32 if dtype is np.float64 else dtype)
    np.testing.assert_array_equal(volume.array, VOXELS.astype(dtype))
    np.testing.assert_allclose(volume.affine, nib.load(tmp_path / "x.nii.gz").affine, atol=1e-9)


def test_written_files_say_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.nii.gz"
    write(Volume(VOXELS, placement(oblique=True)), path, format="nii.gz", window=(-1024, 600), provenance=PROVENANCE)
    header = nib.load(path).header
    assert header["descrip"].item() == b"synthetic; voxelsmith; brain-demo-256"
    assert (header["cal_min"], header["cal_max"]) == (-1024, 600)
    assert (header["sform_code"], header["qform_code"]) == (1, 1)
    assert header.get_xyzt_units() == ("mm", "unknown")
    (extension,) = header.extensions
    assert extension.get_code() == 6
    assert json.loads(extension.text) == PROVENANCE
    assert struct.unpack("<2f", gzip.decompress(path.read_bytes())[112:120]) == (1.0, 0.0)  # slope, intercept


def test_a_provenance_beyond_the_header_is_abridged(tmp_path: Path) -> None:
    long = PROVENANCE | {"latent": [0.123456789] * 20_000}
    for form in ("nii", "nrrd"):
        write(Volume(VOXELS, np.eye(4)), tmp_path / f"x.{form}", format=form, provenance=long)  # type: ignore[arg-type]
        assert read(tmp_path / f"x.{form}").shape == SHAPE
    short = {"model": "brain-demo-256", "seed": 42, "abridged": True}
    assert json.loads(nib.load(tmp_path / "x.nii").header.extensions[0].text) == short


@pytest.mark.parametrize("form", ["nii", "nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("shear", [0.001, 0.01, 0.3])
@pytest.mark.parametrize("flip", [1, -1])
def test_a_sheared_place_is_kept_and_itk_opens_it_too(form: str, shear: float, flip: int, tmp_path: Path) -> None:
    """The sform is exact; the qform, to which ITK then turns, is the nearest rotation."""
    sheared = placement(oblique=True) @ np.array([[flip, shear, 0, 0], [0, 1, -shear, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    path = tmp_path / f"x.{form}"
    write(Volume(VOXELS, sheared), path, format=form, provenance={})
    np.testing.assert_allclose(read(path).affine, sheared, atol=1e-5)
    array, affine = seen_by_sitk(path)
    np.testing.assert_array_equal(array, VOXELS)
    np.testing.assert_allclose(affine, sheared, atol=2.6 * shear)
    if form.startswith("nii"):
        image = nib.load(path)
        np.testing.assert_allclose(image.affine, sheared, atol=1e-5)
        turn = image.get_qform()[:3, :3] / np.linalg.norm(sheared[:3, :3], axis=0)
        np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("form", ["nii.gz", "nii", "nrrd", "mha", "npy"])
def test_the_same_volume_makes_the_same_bytes(form: str, tmp_path: Path) -> None:
    copies = []
    for number, array in enumerate((VOXELS, np.asfortranarray(VOXELS), VOXELS[::-1].copy()[::-1])):
        path = tmp_path / f"{number}.{form}"
        write(Volume(array, np.eye(4)), path, format=form, provenance=PROVENANCE)  # type: ignore[arg-type]
        copies.append(path.read_bytes())
    assert copies[0] == copies[1] == copies[2]
    if form == "nii.gz":
        assert copies[0][:4] == b"\x1f\x8b\x08\x00"  # no file name
        assert copies[0][4:8] == bytes(4)  # no time


def test_types_that_no_format_holds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bool"):
        write(Volume(VOXELS > 3, np.eye(4)), tmp_path / "x.nii", format="nii", provenance={})
    assert not (tmp_path / "x.nii").exists()
