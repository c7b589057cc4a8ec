"""A header and its voxels in another file: joined where both are the user's own, else refused with a sentence."""

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from tests.support.volume_samples import mha, nifti_1, nrrd, numbered, placement
from volumes.files import read
from volumes.two_files import as_one_file
from volumes.upload_check import check
from volumes.volume import VolumeError

VOXELS = numbered()
RAW = VOXELS.tobytes(order="F")


def _pair(folder: Path, kind: type, ending: str) -> Path:
    kind(VOXELS, placement(oblique=True)).to_filename(folder / f"x.img{ending}")
    return folder / f"x.hdr{ending}"


def _by_itk(folder: Path, ending: str, packed: bool) -> Path:
    image = sitk.GetImageFromArray(np.ascontiguousarray(VOXELS.T))
    affine = np.diag([-1, -1, 1, 1]) @ placement(oblique=True)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((affine[:3, :3] / sizes).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(folder / f"x.{ending}"), useCompression=packed)
    return folder / f"x.{ending}"


MAKERS = {
    "NIfTI-1": lambda folder: _pair(folder, nib.Nifti1Pair, ""),
    "NIfTI-1, packed": lambda folder: _pair(folder, nib.Nifti1Pair, ".gz"),
    "NIfTI-2": lambda folder: _pair(folder, nib.Nifti2Pair, ""),
    "NIfTI-2, packed": lambda folder: _pair(folder, nib.Nifti2Pair, ".gz"),
    "MetaImage": lambda folder: _by_itk(folder, "mhd", False),
    "MetaImage, packed": lambda folder: _by_itk(folder, "mhd", True),
    "NRRD": lambda folder: _by_itk(folder, "nhdr", False),
    "NRRD, packed": lambda folder: _by_itk(folder, "nhdr", True),
}


@pytest.mark.parametrize("name", MAKERS)
def test_two_files_are_joined_and_one_alone_says_what_to_do(name: str, tmp_path: Path) -> None:
    header = MAKERS[name](tmp_path)
    with as_one_file(header) as one:
        volume = read(one)
        check(one)
    assert not one.exists()
    np.testing.assert_array_equal(volume.array, VOXELS)
    np.testing.assert_allclose(volume.affine, placement(oblique=True), atol=1e-4)
    if not header.name.endswith(".gz"):
        for reader in (read, check):
            with pytest.raises(VolumeError, match=r"(two files|another file).*Send both as one"):
                reader(header)
    for voxels in tmp_path.iterdir():
        if voxels != header:
            voxels.unlink()
    with pytest.raises(VolumeError, match="not beside"), as_one_file(header):
        pass


@pytest.mark.parametrize("flags", [b"", bytes(4)])
@pytest.mark.parametrize("packed", [False, True])
def test_a_nifti_header_with_nothing_behind_it_is_one_of_two_whatever_its_mark(
    flags: bytes, packed: bool, tmp_path: Path
) -> None:
    head = nifti_1(VOXELS, offset=0)[:348] + flags
    (tmp_path / "x.hdr").write_bytes(gzip.compress(head) if packed else head)
    (tmp_path / "x.img").write_bytes(RAW)
    for name in ("x.hdr", "x.img"):
        with as_one_file(tmp_path / name) as one:
            np.testing.assert_array_equal(read(one).array, VOXELS)


def test_either_file_of_a_nifti_pair_will_do_and_endings_in_capitals(tmp_path: Path) -> None:
    header = _pair(tmp_path, nib.Nifti1Pair, "")
    header.rename(tmp_path / "Y.HDR")
    (tmp_path / "x.img").rename(tmp_path / "Y.IMG")
    for name in ("Y.HDR", "Y.IMG"):
        with as_one_file(tmp_path / name) as one:
            np.testing.assert_array_equal(read(one).array, VOXELS)


def test_voxels_whose_header_is_analyzes_are_refused_as_such(tmp_path: Path) -> None:
    nib.AnalyzeImage(VOXELS, placement(oblique=False)).to_filename(tmp_path / "x.img")
    for name in ("x.hdr", "x.img"):
        with pytest.raises(VolumeError, match="ANALYZE"), as_one_file(tmp_path / name) as one:
            read(one)


@pytest.mark.parametrize("data", [nifti_1(VOXELS), gzip.compress(nifti_1(VOXELS)), nrrd(VOXELS), mha(VOXELS), b"else"])
def test_a_whole_file_is_left_as_it_is(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.mhd").write_bytes(data)
    with as_one_file(tmp_path / "x.mhd") as one:
        assert one == tmp_path / "x.mhd"


def test_a_header_may_name_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(RAW)
    fields = {"CompressedData": "False", "drop": "CompressedDataSize", "ElementDataFile": "./x.raw"}
    (tmp_path / "x.mhd").write_bytes(mha(VOXELS, b"", **fields))
    with as_one_file(tmp_path / "x.mhd") as one:
        np.testing.assert_array_equal(read(one).array, VOXELS)


@pytest.mark.parametrize("name", ["x" * 300, "%" * 2**20, "x\0.raw"])
def test_a_name_that_no_file_can_have_is_of_none(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.mhd").write_bytes(mha(VOXELS, b"", ElementDataFile=name))
    (tmp_path / "x.nhdr").write_bytes(nrrd(VOXELS, b"", data_file=name))
    for header in ("x.mhd", "x.nhdr"):
        with pytest.raises(VolumeError, match="not beside"), as_one_file(tmp_path / header):
            pass


@pytest.mark.parametrize("name", ["LISTS.raw", "50%.raw", "b c.raw", "\u00e9.raw"])
def test_a_name_like_that_of_several_files_is_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(RAW)
    fields = {"CompressedData": "False", "drop": "CompressedDataSize", "ElementDataFile": name}
    (tmp_path / "x.mhd").write_bytes(mha(VOXELS, b"", **fields))
    (tmp_path / "x.nhdr").write_bytes(nrrd(VOXELS, b"", encoding="raw", data_file=name))
    for header in ("x.mhd", "x.nhdr"):
        with as_one_file(tmp_path / header) as one:
            np.testing.assert_array_equal(read(one).array, VOXELS)


@pytest.mark.parametrize("size", ["0", "16", "-1"])
def test_bytes_before_the_voxels_are_left_out(size: str, tmp_path: Path) -> None:
    fields = {"CompressedData": "False", "drop": "CompressedDataSize", "HeaderSize": size, "ElementDataFile": "x.raw"}
    (tmp_path / "x.mhd").write_bytes(mha(VOXELS, b"", **fields))
    (tmp_path / "x.raw").write_bytes((b"" if size == "0" else b"y" * 16) + RAW)
    with as_one_file(tmp_path / "x.mhd") as one:
        np.testing.assert_array_equal(read(one).array, VOXELS)
    lines = {"encoding": "raw", "byte_skip": size, "data_file": "x.raw"}
    (tmp_path / "x.nhdr").write_bytes(nrrd(VOXELS, b"", **lines).rstrip(b"\n"))
    with as_one_file(tmp_path / "x.nhdr") as one:
        np.testing.assert_array_equal(read(one).array, VOXELS)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x.raw", "./../x.raw", "folder/x.raw", "..", "LIST", "x%03d.raw 1 3 1", "a\\x.raw"]
)
def test_a_header_leads_to_no_file_outside_its_folder(name: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "folder").mkdir(parents=True)
    for place in (tmp_path, own, own / "folder"):
        (place / "x.raw").write_bytes(RAW)
    shutil.copy(own / "x.raw", own / "LIST")
    fields = {"CompressedData": "False", "drop": "CompressedDataSize", "ElementDataFile": name}
    (own / "x.mhd").write_bytes(mha(VOXELS, b"", **fields))
    (own / "x.nhdr").write_bytes(nrrd(VOXELS, b"", encoding="raw", data_file=name))
    for header in ("x.mhd", "x.nhdr"):
        with pytest.raises(VolumeError, match="another folder"), as_one_file(own / header):
            pass
