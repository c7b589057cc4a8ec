"""Hostile and broken uploads: each is refused with a sentence for the user, in bounded memory, by its content alone."""

import gzip
import re
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.support.volume_samples import SHAPE, mha, nifti_1, nrrd, numbered
from volumes.files import read
from volumes.reader_limits import Limits
from volumes.upload_check import check
from volumes.volume import VolumeError

VOXELS = numbered()
RAW = VOXELS.tobytes(order="F")
NAN, INF = float("nan"), float("inf")


def _gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "known format"),
    "one byte": (b"\x1f", "known format"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(600), "known format"),
    "a zip": (b"PK\x03\x04" + bytes(600), "known format"),
    "a gzip of something else": (_gz(b"hello" * 100), "wrong length"),
    "a gzip of an nrrd": (_gz(nrrd(VOXELS)), "wrong length"),
    "header cut off": (nifti_1(VOXELS)[:200], "truncated"),
    "one voxel short": (nifti_1(VOXELS)[:-1], "truncated"),
    "one byte over": (nifti_1(VOXELS) + b"\0", "after its last voxel"),
    "gzip, one voxel short": (_gz(nifti_1(VOXELS)[:-1]), "truncated"),
    "gzip, one byte over": (_gz(nifti_1(VOXELS) + b"\0"), "after its last voxel"),
    "gzip without its trailer": (_gz(nifti_1(VOXELS))[:-8], "truncated"),
    "gzip with half a trailer": (_gz(nifti_1(VOXELS))[:-3], "truncated"),
    "gzip with a wrong checksum": (_gz(nifti_1(VOXELS))[:-8] + b"abcd" + _gz(nifti_1(VOXELS))[-4:], "checksum"),
    "gzip with a wrong length": (_gz(nifti_1(VOXELS))[:-1] + b"\x01", "checksum"),
    "gzip with bytes after it": (_gz(nifti_1(VOXELS)) + b"tail", "after its last voxel"),
    "gzip of two members": (_gz(nifti_1(VOXELS)) + _gz(b"more"), "after its last voxel"),
    "gzip with an empty second member": (_gz(nifti_1(VOXELS)) + _gz(b""), "after its last voxel"),
    "voxels in a second member": (_gz(nifti_1(VOXELS)[:400]) + _gz(nifti_1(VOXELS)[400:]), "truncated"),
    "detached data": (nifti_1(VOXELS, magic=b"ni1"), "detached"),
    "magic with a tail": (nifti_1(VOXELS, magic=b"n+1x"), "single-file"),
    "a NIfTI-2 length only": (nifti_1(VOXELS, size=540), "single-file"),
    "offset inside the header": (nifti_1(VOXELS, offset=348), "right after a header"),
    "offset zero": (nifti_1(VOXELS, offset=0), "right after a header"),
    "offset not whole": (nifti_1(VOXELS, offset=352.5), "right after a header"),
    "offset NaN": (nifti_1(VOXELS, offset=NAN), "right after a header"),
    "offset infinite": (nifti_1(VOXELS, offset=INF), "right after a header"),
    "offset negative": (nifti_1(VOXELS, offset=-352), "right after a header"),
    "offset beyond 64 KiB": (nifti_1(VOXELS, offset=70000, gap=bytes(69652)), "right after a header"),
    "a gap that nothing explains": (nifti_1(VOXELS, offset=368, gap=bytes(20)), "unexplained gap"),
    "an extension of no length": (nifti_1(VOXELS, offset=368, gap=b"\1" + bytes(19)), "extension"),
    "an extension beyond its room": (
        nifti_1(VOXELS, offset=368, gap=b"\1\0\0\0\x20" + bytes(15)),
        "extension",
    ),
    "no dimensions": (nifti_1(VOXELS, dim=(0, *SHAPE, 1, 1, 1, 1)), "number of dimensions"),
    "eight dimensions": (nifti_1(VOXELS, dim=(8, *SHAPE, 1, 1, 1, 1)), "number of dimensions"),
    "two dimensions": (nifti_1(VOXELS, dim=(2, *SHAPE, 1, 1, 1, 1)), "three-dimensional"),
    "a series": (nifti_1(VOXELS, dim=(4, 5, 6, 1, 7, 1, 1, 1)), "series"),
    "a vector per voxel": (nifti_1(VOXELS, dim=(5, 5, 6, 1, 1, 7, 1, 1)), "series"),
    "a side of zero": (nifti_1(VOXELS, dim=(3, 0, 6, 7, 1, 1, 1, 1)), "1 to 1024"),
    "a negative side": (nifti_1(VOXELS, dim=(3, -5, 6, 7, 1, 1, 1, 1)), "1 to 1024"),
    "a side of 1025": (nifti_1(VOXELS, dim=(3, 1025, 1, 1, 1, 1, 1, 1)), "1 to 1024"),
    "more voxels than accepted": (nifti_1(VOXELS, dim=(3, 1024, 1024, 1024, 1, 1, 1, 1)), "voxels that are accepted"),
    "colour": (nifti_1(VOXELS, code=128, bits=24), "voxel type"),
    "complex": (nifti_1(VOXELS, code=32, bits=64), "voxel type"),
    "one bit": (nifti_1(VOXELS, code=1, bits=1), "voxel type"),
    "float128": (nifti_1(VOXELS, code=1536, bits=128), "voxel type"),
    "no type": (nifti_1(VOXELS, code=0, bits=16), "voxel type"),
    "bits of another type": (nifti_1(VOXELS, bits=8), "bits per voxel"),
    "affine NaN": (nifti_1(VOXELS, srow=(NAN, *[0] * 11)), "affine"),
    "affine zero": (nifti_1(VOXELS, srow=(0,) * 12), "voxel size"),
    "affine flat": (nifti_1(VOXELS, srow=(1, 1, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0)), "one plane"),
    "affine far away": (nifti_1(VOXELS, srow=(1, 0, 0, 3e38, 0, 1, 0, 0, 0, 0, 1, 0)), "too far"),
    "quaternion too long": (nifti_1(VOXELS, sform=0, qform=1, quatern=(0.9, 0.9, 0.9)), "unit quaternion"),
    "quaternion NaN": (nifti_1(VOXELS, sform=0, qform=1, quatern=(NAN, 0, 0)), "unit quaternion"),
    "qform with a voxel of no size": (
        nifti_1(VOXELS, sform=0, qform=1, pixdim=(1, 0, 1, 1, 0, 0, 0, 0)),
        "not a positive",
    ),
    "no form and voxels of NaN": (nifti_1(VOXELS, sform=0, pixdim=(1, NAN, 1, 1, 0, 0, 0, 0)), "not a positive"),
    "slope infinite": (nifti_1(VOXELS, slope=INF), "scaling"),
    "intercept NaN": (nifti_1(VOXELS, inter=NAN), "scaling"),
    "an unknown unit": (nifti_1(VOXELS, units=7), "unit of length"),
    "nrrd: another file": (nrrd(VOXELS, data_file="/etc/passwd", encoding="raw"), "another file"),
    "nrrd: another file, second name": (nrrd(VOXELS, datafile="LIST", encoding="raw"), "another file"),
    "nrrd: line skip": (nrrd(VOXELS, line_skip="1"), "skips"),
    "nrrd: byte skip": (nrrd(VOXELS, byte_skip="-1", encoding="raw"), "skips"),
    "nrrd: text": (nrrd(VOXELS, encoding="ascii"), "raw or gzip"),
    "nrrd: bzip2": (nrrd(VOXELS, encoding="bzip2"), "raw or gzip"),
    "nrrd: colour": (nrrd(VOXELS, kinds="RGB-color domain domain"), "spatial"),
    "nrrd: four dimensions": (nrrd(VOXELS, dimension="4", sizes="5 6 7 1"), "three-dimensional"),
    "nrrd: three sizes too many": (nrrd(VOXELS, sizes="5 6 7 5 6 7"), "three-dimensional"),
    "nrrd: sizes are words": (nrrd(VOXELS, sizes="5 six 7"), "whole numbers"),
    "nrrd: a side of zero": (nrrd(VOXELS, sizes="0 6 7"), "1 to 1024"),
    "nrrd: a huge side": (nrrd(VOXELS, sizes="999999999 6 7"), "1 to 1024"),
    "nrrd: a huger side": (nrrd(VOXELS, sizes="9999999999999999999 6 7"), "whole numbers"),
    "nrrd: no sizes": (nrrd(VOXELS, drop="sizes"), "whole numbers"),
    "nrrd: no byte order": (nrrd(VOXELS, drop="endian"), "byte order"),
    "nrrd: block type": (nrrd(VOXELS, type="block"), "voxel type"),
    "nrrd: no voxel size": (nrrd(VOXELS, drop="space directions"), "direction|malformed"),
    "nrrd: direction NaN": (nrrd(VOXELS, space_directions="(nan,0,0) (0,1,0) (0,0,1)"), "numbers"),
    "nrrd: direction too large": (nrrd(VOXELS, space_directions="(1e999,0,0) (0,1,0) (0,0,1)"), "out of range"),
    "nrrd: direction none": (nrrd(VOXELS, space_directions="none (0,1,0) (0,0,1)"), "malformed"),
    "nrrd: directions in a plane": (nrrd(VOXELS, space_directions="(1,0,0) (0,1,0) (1,1,0)"), "one plane"),
    "nrrd: space with time": (nrrd(VOXELS, space="left-posterior-superior-time"), "LPS, RAS or LAS"),
    "nrrd: unit of length": (nrrd(VOXELS, space_units='"parsec" "parsec" "parsec"'), "unit of length"),
    "nrrd: unknown field": (nrrd(VOXELS, wibble="1"), "not in the format"),
    "nrrd: version 9": (b"NRRD0009" + nrrd(VOXELS)[8:], "malformed"),
    "nrrd: endless header": (b"NRRD0004\n" + b"# x\n" * 30000, "longer than"),
    "nrrd: a field twice": (nrrd(VOXELS).replace(b"endian", b"type: short\nendian"), "twice"),
    "nrrd: raw, short": (nrrd(VOXELS, RAW[:-2], encoding="raw"), "truncated"),
    "nrrd: raw, long": (nrrd(VOXELS, RAW + b"\0\0", encoding="raw"), "after its last voxel"),
    "nrrd: gzip, wrong sum": (nrrd(VOXELS, _gz(RAW)[:-8] + b"abcdefgh"), "checksum"),
    "nrrd: gzip, two members": (nrrd(VOXELS, _gz(RAW[:100]) + _gz(RAW[100:])), "truncated"),
    "nrrd: gzip, tail": (nrrd(VOXELS, _gz(RAW) + b"\0"), "after its last voxel"),
    "mha: another file": (mha(VOXELS, ElementDataFile="/etc/passwd"), "another file"),
    "mha: a list of files": (mha(VOXELS, ElementDataFile="LIST"), "another file"),
    "mha: skip": (mha(VOXELS, HeaderSize="16"), "no skips"),
    "mha: skip from the end": (mha(VOXELS, HeaderSize="-1"), "no skips"),
    "mha: text": (mha(VOXELS, BinaryData="False"), "binary"),
    "mha: two channels": (mha(VOXELS, ElementNumberOfChannels="2"), "one channel"),
    "mha: four dimensions": (mha(VOXELS, NDims="4", DimSize="5 6 7 1"), "3-D"),
    "mha: in inches": (mha(VOXELS, DistanceUnits="in"), "mm"),
    "mha: an array per voxel": (mha(VOXELS, ElementType="MET_SHORT_ARRAY"), "voxel type"),
    "mha: sides do not fit": (mha(VOXELS, DimSize="5 6 8"), "truncated"),
    "mha: a negative side": (mha(VOXELS, DimSize="-5 6 7"), "whole numbers"),
    "mha: size of the packed data": (mha(VOXELS, CompressedDataSize="17"), "size of the compressed data"),
    "mha: wrong sum": (mha(VOXELS, zlib.compress(RAW)[:-4] + b"abcd"), "checksum"),
    "mha: packed short": (mha(VOXELS, zlib.compress(RAW)[:-4]), "truncated"),
    "mha: gzip instead of zlib": (mha(VOXELS, _gz(RAW)), "does not decompress"),
    "mha: raw, long": (mha(VOXELS, RAW + b"\0", CompressedData="False"), "after its last voxel"),
    "mha: neither true nor false": (mha(VOXELS, CompressedData="yes"), "True or False"),
    "mha: two places": (mha(VOXELS, Position="0 0 0"), "twice"),
    "mha: directions not unit": (mha(VOXELS, TransformMatrix="2 0 0 0 1 0 0 0 1"), "unit vector"),
    "mha: directions in a plane": (mha(VOXELS, TransformMatrix="1 0 0 0 1 0 1 0 0"), "one plane"),
    "mha: no voxel size": (mha(VOXELS, drop="ElementSpacing"), "size of a voxel"),
    "mha: a voxel of no size": (mha(VOXELS, ElementSpacing="0 1 1"), "positive"),
    "mha: scaled to nothing": (mha(VOXELS, ElementToIntensityFunctionSlope="0"), "scaling"),
    "mha: endless header": (b"ObjectType = Image\n" * 5000, "longer than"),
    "mha: a line without a field": (b"NDims = 3\nwibble\n" + mha(VOXELS), "not in the format"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    data, why = BROKEN[name]
    path = tmp_path / "secret-folder-name.nii.gz"
    path.write_bytes(data)
    for reader in (check, read):
        with pytest.raises(VolumeError, match=why) as caught:
            reader(path)
        sentence = caught.value.detail
        assert re.fullmatch(r"[A-Z][\x20-\x7e]{10,200}\.", sentence)
        assert not re.search(r"passwd|secret|nan|inf\b|wibble|Error|tmp", sentence)


@pytest.mark.parametrize("build", [nifti_1, nrrd, mha])
def test_what_the_broken_files_are_made_of_is_sound(build, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(build(VOXELS))
    assert check(tmp_path / "a.bin").shape == SHAPE
    np.testing.assert_array_equal(read(tmp_path / "a.bin").array, VOXELS)


def test_limits_hold_for_voxels_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(nifti_1(VOXELS))
    assert check(path, Limits(max_voxels=VOXELS.size, max_bytes=VOXELS.nbytes)).voxels == VOXELS.size
    for limits in (Limits(max_voxels=VOXELS.size - 1), Limits(max_bytes=VOXELS.nbytes - 1)):
        with pytest.raises(VolumeError, match="accepted"):
            check(path, limits)


@pytest.mark.parametrize("shape", [(5, 6, 7), (512, 512, 256)])
def test_a_bomb_is_met_with_little_memory(shape: tuple[int, int, int], tmp_path: Path) -> None:
    """64 MiB of zeros from 64 KiB: refused after the header's claim, or checked to its end, without holding it."""
    path = tmp_path / "bomb.nii.gz"
    head = nifti_1(VOXELS, dim=(3, *shape, 1, 1, 1, 1))[:352]
    packer = zlib.compressobj(9, wbits=31)
    packed = packer.compress(head) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    path.write_bytes(packed)
    assert len(packed) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(VolumeError, match=r"after its last voxel|truncated"):
            check(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
