"""NRRD and MetaImage: what the strict readers understand, beside SimpleITK, and what the writers leave in the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from tests.support.volume_samples import SHAPE, mha, nrrd, numbered, placement, seen_by_sitk
from volumes import assumptions
from volumes.files import read, write
from volumes.volume import Volume, VolumeError

VOXELS = numbered()
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
TURNED = "(0,2,0) (0,0,-3) (4,0,0)"


def _agrees_with_sitk(data: bytes, path: Path) -> Volume:
    path.write_bytes(data)
    volume = read(path)
    array, affine = seen_by_sitk(path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-9)
    return volume


@pytest.mark.parametrize("space", ["left-posterior-superior", "LPS", "right-anterior-superior", "RAS", "LAS",
                                   "left-anterior-superior"])  # fmt: skip
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_spaces(space: str, encoding: str, tmp_path: Path) -> None:
    data = nrrd(VOXELS, space=space, encoding=encoding, space_directions=TURNED)
    _agrees_with_sitk(data, tmp_path / "x.nrrd")


def test_nrrd_sizes_alone_run_along_lps_as_in_itk(tmp_path: Path) -> None:
    data = nrrd(VOXELS, drop="space", spacings="2 3 4")
    data = b"\n".join(line for line in data.split(b"\n", 20) if not line.startswith(b"space "))
    np.testing.assert_array_equal(_agrees_with_sitk(data, tmp_path / "x.nrrd").affine, np.diag([-2, -3, 4, 1]))


@pytest.mark.parametrize(("units", "factor"), [('"mm" "mm" "mm"', 1), ('"um" "um" "um"', 0.001), ('"m" "m" "m"', 1000)])
def test_nrrd_lengths_become_millimetres(units: str, factor: float, tmp_path: Path) -> None:
    (tmp_path / "x.nrrd").write_bytes(nrrd(VOXELS, space_units=units))
    volume = read(tmp_path / "x.nrrd")
    np.testing.assert_allclose(volume.spacing_mm, np.array([2, 3, 4]) * factor)
    np.testing.assert_allclose(volume.affine[:3, 3], np.array([-5, -6, 7]) * factor)


def test_nrrd_with_windows_line_ends_and_harmless_fields(tmp_path: Path) -> None:
    data = nrrd(VOXELS, content="a (b)", centerings="cell cell cell", axis_mins="nan nan nan", number="210")
    head, body = data.split(b"\n\n", 1)
    (tmp_path / "x.nrrd").write_bytes(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)
    np.testing.assert_array_equal(read(tmp_path / "x.nrrd").array, VOXELS)


@pytest.mark.parametrize("build", [nrrd, mha])
@pytest.mark.parametrize("dtype", ["u1", "f4", "i2"])
def test_big_endian_voxels(build, dtype: str, tmp_path: Path) -> None:
    array = (VOXELS % 256).astype(dtype)
    raw = array.astype(array.dtype.newbyteorder(">")).tobytes(order="F")
    fields = {"encoding": "raw", "endian": "big"}
    if build is mha:
        fields = {"CompressedData": "False", "BinaryDataByteOrderMSB": "True", "drop": "CompressedDataSize"}
    (tmp_path / "x").write_bytes(build(array, raw, **fields))
    volume = read(tmp_path / "x")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == dtype


@pytest.mark.parametrize("names", [("TransformMatrix", "Offset"), ("Rotation", "Position"), ("Orientation", "Origin")])
def test_metaimage_directions_are_one_axis_after_the_other(names: tuple[str, str], tmp_path: Path) -> None:
    turn = {names[0]: "0 1 0 0 0 -1 1 0 0", names[1]: "5 6 7"}
    data = mha(VOXELS, **turn)
    for left_out in {"TransformMatrix", "Offset"} - {*names}:
        data = b"\n".join(line for line in data.split(b"\n", 14) if not line.startswith(left_out.encode()))
    volume = _agrees_with_sitk(data, tmp_path / "x.mha")
    assert volume.axis_codes == "PIL"


def test_metaimage_keys_of_the_writer_and_intensity_scaling(tmp_path: Path) -> None:
    """The scaling is left aside, as ITK leaves it, and that is said."""
    fields = {
        "ITK_FileNotes": "a = b",
        "ElementToIntensityFunctionSlope": "2",
        "ElementToIntensityFunctionOffset": "-5",
    }
    volume = _agrees_with_sitk(mha(VOXELS, **fields), tmp_path / "x.mha")
    assert volume.assumed == (assumptions.METAIMAGE_SCALING,)


@pytest.mark.parametrize("form", ["nii.gz", "nrrd"])
def test_metaimages_that_sitk_made_from_other_formats_keep_their_names(form: str, tmp_path: Path) -> None:
    """ITK writes what it read of a NIfTI, an NRRD or a DICOM header into the MetaImage, under names of any signs."""
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T)), str(tmp_path / f"x.{form}"))
    image = sitk.ReadImage(str(tmp_path / f"x.{form}"))
    assert image.GetMetaDataKeys()
    for name, value in {"0008|0005": "ISO_IR 100", "0010|0010": "Nobody^Known = \u00fc", "(private)": ""}.items():
        image.SetMetaData(name, value)
    sitk.WriteImage(image, str(tmp_path / "x.mha"), useCompression=True)
    np.testing.assert_array_equal(read(tmp_path / "x.mha").array, VOXELS)


@pytest.mark.parametrize("form", ["nrrd", "mha", "nii", "nii.gz"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_files_made_by_sitk(form: str, packed: bool, dtype: str, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray((VOXELS % 100).astype(dtype).T))
    affine = LPS @ placement(oblique=True)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((affine[:3, :3] / sizes).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(tmp_path / f"x.{form}"), useCompression=packed)
    volume = read(tmp_path / f"x.{form}")
    np.testing.assert_array_equal(volume.array, VOXELS % 100)
    np.testing.assert_allclose(volume.affine, placement(oblique=True), atol=1e-4)


@pytest.mark.parametrize("form", ["nrrd", "mha", "nii.gz"])
def test_series_of_one_volume_made_by_sitk(form: str, tmp_path: Path) -> None:
    """In NRRD it has a space of four dimensions without a name."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T))
    image.SetSpacing([2.0, 3.0, 4.0])
    image.SetOrigin([5.0, -6.0, 7.0])
    sitk.WriteImage(sitk.JoinSeries([image]), str(tmp_path / f"x.{form}"))
    volume = read(tmp_path / f"x.{form}")
    np.testing.assert_array_equal(volume.array, VOXELS)
    expected = np.diag([-2.0, -3.0, 4.0, 1.0])
    expected[:3, 3] = -5, 6, 7
    np.testing.assert_allclose(volume.affine, expected, atol=1e-5)
    sitk.WriteImage(sitk.JoinSeries([image, image]), str(tmp_path / f"two.{form}"))
    with pytest.raises(VolumeError, match=r"one three-dimensional volume|more than one"):
        read(tmp_path / f"two.{form}")


def test_nrrd_carries_the_provenance(tmp_path: Path) -> None:
    provenance = {"model": "m", "note": 'quoted "words", a \\ and\na new line'}
    write(Volume(VOXELS, np.eye(4)), tmp_path / "x.nrrd", format="nrrd", provenance=provenance)
    header = (tmp_path / "x.nrrd").read_bytes().split(b"\n\n")[0].decode()
    keys = dict(line.split(":=", 1) for line in header.splitlines() if ":=" in line)
    assert keys["synthetic"] == "true"
    assert json.loads(keys["provenance"].replace("\\\\", "\\")) == provenance
    assert read(tmp_path / "x.nrrd").shape == SHAPE
