"""Hostile and broken uploads: each is refused with a sentence for the user, in bounded memory, by its content alone."""

import gzip
import re
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.support.volume_samples import SHAPE, mgh, mha, nifti_1, nrrd, numbered
from volumes.files import read
from volumes.reader_limits import MAX_MEMBERS, Limits
from volumes.upload_check import check
from volumes.volume import VolumeError

VOXELS = numbered()
RAW = VOXELS.tobytes(order="F")
FAR = (1 << 20) + 1
"""More than is passed over after the last voxel."""
NAN, INF = float("nan"), float("inf")


def _gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "one byte": (b"\x1f", "known format"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(600), "a picture"),
    "a zip": (b"PK\x03\x04" + bytes(600), "zip archive"),
    "a gzip of something else": (_gz(b"hello" * 100), "is gzip, and"),
    "a gzip of an nrrd": (_gz(nrrd(VOXELS)), "is gzip, and"),
    "header cut off": (nifti_1(VOXELS)[:200], "truncated"),
    "one voxel short": (nifti_1(VOXELS)[:-1], "truncated"),
    "gzip, one voxel short": (_gz(nifti_1(VOXELS)[:-1]), "fewer voxels"),
    "gzip without its trailer": (_gz(nifti_1(VOXELS))[:-8], "truncated"),
    "gzip with half a trailer": (_gz(nifti_1(VOXELS))[:-3], "truncated"),
    "gzip with a wrong checksum": (_gz(nifti_1(VOXELS))[:-8] + b"abcd" + _gz(nifti_1(VOXELS))[-4:], "checksum"),
    "gzip with a wrong length": (_gz(nifti_1(VOXELS))[:-1] + b"\x01", "checksum"),
    "detached data": (nifti_1(VOXELS, magic=b"ni1"), "in two files"),
    "magic with a tail": (nifti_1(VOXELS, magic=b"n+1x"), "NIfTI's mark"),
    "a NIfTI-2 length only": (nifti_1(VOXELS, size=540), "NIfTI's mark"),
    "offset inside the header": (nifti_1(VOXELS, offset=348), "behind the header"),
    "offset not whole": (nifti_1(VOXELS, offset=352.5), "behind the header"),
    "offset NaN": (nifti_1(VOXELS, offset=NAN), "behind the header"),
    "offset infinite": (nifti_1(VOXELS, offset=INF), "behind the header"),
    "offset negative": (nifti_1(VOXELS, offset=-352), "behind the header"),
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
    "affine NaN": (nifti_1(VOXELS, srow=(NAN, *[0] * 11)), "affine"),
    "affine flat": (nifti_1(VOXELS, srow=(1, 1, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0)), "one plane"),
    "affine far away": (nifti_1(VOXELS, srow=(1, 0, 0, 3e38, 0, 1, 0, 0, 0, 0, 1, 0)), "too far"),
    "quaternion too long": (nifti_1(VOXELS, sform=0, qform=1, quatern=(0.9, 0.9, 0.9)), "unit quaternion"),
    "quaternion NaN": (nifti_1(VOXELS, sform=0, qform=1, quatern=(NAN, 0, 0)), "unit quaternion"),
    "slope beyond sense": (nifti_1(VOXELS, slope=1e35), "scaling"),
    "intercept NaN": (nifti_1(VOXELS, inter=NAN), "scaling"),
    "one dimension": (nifti_1(VOXELS, dim=(1, *SHAPE, 1, 1, 1, 1)), "has 1 dimension\\."),
    "nrrd: another file": (nrrd(VOXELS, data_file="/etc/passwd", encoding="raw"), "another file"),
    "nrrd: another file, second name": (nrrd(VOXELS, datafile="LIST", encoding="raw"), "another file"),
    "nrrd: several files": (nrrd(VOXELS, b"a.raw\nb.raw\n", data_file="LIST").replace(b"a key:=a value\n\n", b""),
                            "another file"),
    "nrrd: a space without directions": (nrrd(VOXELS, drop="space directions", spacings="2 3 4"), "of its axes"),
    "nrrd: packed, byte skip from the end": (nrrd(VOXELS, byte_skip="-1"), "byte skip of -1"),
    "nrrd: line skip": (nrrd(VOXELS, line_skip="1"), "damaged"),
    "nrrd: text": (nrrd(VOXELS, encoding="ascii"), "decimal numbers"),
    "nrrd: bzip2": (nrrd(VOXELS, encoding="bzip2"), "raw, gzip, text"),
    "nrrd: colour": (nrrd(VOXELS, kinds="RGB-color domain domain"), "spatial"),
    "nrrd: four dimensions": (nrrd(VOXELS, dimension="4", sizes="5 6 7 1"), "direction of each"),
    "nrrd: three sizes too many": (nrrd(VOXELS, sizes="5 6 7 5 6 7"), "not as many"),
    "nrrd: sizes are words": (nrrd(VOXELS, sizes="5 six 7"), "whole numbers"),
    "nrrd: a side of zero": (nrrd(VOXELS, sizes="0 6 7"), "1 to 1024"),
    "nrrd: a huge side": (nrrd(VOXELS, sizes="999999999 6 7"), "1 to 1024"),
    "nrrd: a huger side": (nrrd(VOXELS, sizes="9999999999999999999 6 7"), "whole numbers"),
    "nrrd: no sizes": (nrrd(VOXELS, drop="sizes"), "whole numbers"),
    "nrrd: no byte order": (nrrd(VOXELS, drop="endian"), "byte order"),
    "nrrd: block type": (nrrd(VOXELS, type="block"), "voxel type"),
    "nrrd: direction NaN": (nrrd(VOXELS, space_directions="(nan,0,0) (0,1,0) (0,0,1)"), "numbers"),
    "nrrd: direction too large": (nrrd(VOXELS, space_directions="(1e999,0,0) (0,1,0) (0,0,1)"), "out of range"),
    "nrrd: direction none": (nrrd(VOXELS, space_directions="none (0,1,0) (0,0,1)"), "one value per voxel"),
    "nrrd: directions in a plane": (nrrd(VOXELS, space_directions="(1,0,0) (0,1,0) (1,1,0)"), "one plane"),
    "nrrd: space with time": (nrrd(VOXELS, space="left-posterior-superior-time"), "numbers"),
    "nrrd: unit of length": (nrrd(VOXELS, space_units='"parsec" "parsec" "parsec"'), "unit of length"),
    "nrrd: unknown field": (nrrd(VOXELS, wibble="1"), "not in the format"),
    "nrrd: version 9": (b"NRRD0009" + nrrd(VOXELS)[8:], "malformed"),
    "nrrd: endless header": (b"NRRD0004\n" + b"# x\n" * 70000, "longer than"),
    "nrrd: a field twice": (nrrd(VOXELS).replace(b"endian", b"type: short\nendian"), "twice"),
    "nrrd: raw, short": (nrrd(VOXELS, RAW[:-2], encoding="raw"), "truncated"),
    "nrrd: gzip, wrong sum": (nrrd(VOXELS, _gz(RAW)[:-8] + b"abcdefgh"), "checksum"),
    "mha: another file": (mha(VOXELS, ElementDataFile="/etc/passwd"), "another file"),
    "mha: a list of files": (mha(VOXELS, ElementDataFile="LIST"), "another file"),
    "mha: skip": (mha(VOXELS, HeaderSize="16"), "HeaderSize"),
    "mha: skip from the end": (mha(VOXELS, HeaderSize="-1"), "HeaderSize"),
    "mha: text": (mha(VOXELS, BinaryData="False"), "packed"),
    "mha: two channels": (mha(VOXELS, ElementNumberOfChannels="2"), "one channel"),
    "mha: four dimensions": (mha(VOXELS, NDims="4", DimSize="5 6 7 1"), "numbers"),
    "mha: in inches": (mha(VOXELS, DistanceUnits="in"), "unit of length"),
    "mha: an array per voxel": (mha(VOXELS, ElementType="MET_SHORT_ARRAY"), "voxel type"),
    "mha: sides do not fit": (mha(VOXELS, DimSize="5 6 8"), "fewer voxels"),
    "mha: a negative side": (mha(VOXELS, DimSize="-5 6 7"), "whole numbers"),
    "mha: size of the packed data": (mha(VOXELS, CompressedDataSize="17"), "breaks off"),
    "mha: wrong sum": (mha(VOXELS, zlib.compress(RAW)[:-4] + b"abcd"), "checksum"),
    "mha: packed short": (mha(VOXELS, zlib.compress(RAW)[:-4]), "truncated"),
    "mha: bare deflate instead of zlib": (mha(VOXELS, zlib.compress(RAW)[2:]), "does not decompress"),
    "mha: skip beyond the file": (mha(VOXELS, HeaderSize="4000000"), "breaks off"),
    "mha: skip beyond 4 MiB": (mha(VOXELS, HeaderSize="999999999"), "HeaderSize"),
    "mha: neither true nor false": (mha(VOXELS, CompressedData="yes"), "True or False"),
    "mha: two places": (mha(VOXELS, Position="0 0 0"), "twice"),
    "mha: directions not unit": (mha(VOXELS, TransformMatrix="2 0 0 0 1 0 0 0 1"), "unit vector"),
    "mha: directions in a plane": (mha(VOXELS, TransformMatrix="1 0 0 0 1 0 1 0 0"), "one plane"),
    "mha: a voxel of no size": (mha(VOXELS, ElementSpacing="0 1 1"), "zero or out"),
    "mha: endless header": (b"ObjectType = Image\n" + b"Comment = x\n" * 70000, "longer than"),
    "mha: a line without a field": (b"NDims = 3\nwibble\n" + mha(VOXELS), "twice"),
    "goes on after its last voxel": (nifti_1(VOXELS) + bytes(FAR), "goes on"),
    "gzip, goes on after its last voxel": (_gz(nifti_1(VOXELS) + bytes(FAR)), "goes on"),
    "gzip, goes on behind its end": (_gz(nifti_1(VOXELS)) + bytes(FAR), "goes on"),
    "gzip, goes on in another member": (_gz(nifti_1(VOXELS)) + _gz(bytes(FAR)), "goes on"),
    "gzip of too many members": (_gz(nifti_1(VOXELS)) + _gz(b"") * (MAX_MEMBERS + 1), "members"),
    "gzip whose second member is damaged": (_gz(nifti_1(VOXELS)) + _gz(b"more")[:-8] + bytes(8), "checksum"),
    "voxels beyond 4 MiB": (nifti_1(VOXELS, offset=FAR * 5, gap=bytes(FAR * 5 - 348)), "behind the header"),
    "nrrd: one line of 5 MiB": (b"NRRD0004\n#" + bytes(FAR * 5), "longer than"),
    "mha: one line of 5 MiB": (b"NDims = 3\nComment = " + b"x" * (FAR * 5), "longer than"),
    "nrrd: a field of 5,000 numbers": (nrrd(VOXELS, sizes="1 " * 5000), "too long"),
    "nrrd: raw, byte skip beyond the file": (nrrd(VOXELS, RAW, encoding="raw", byte_skip="9"), "ends before"),
    "nrrd: a byte skip of gigabytes": (nrrd(VOXELS, byte_skip="999999999"), "skips more"),
    "nrrd: more lines to skip than there are": (nrrd(VOXELS, RAW, encoding="raw", line_skip="99999"), "skips more"),
    "nrrd: text, short": (nrrd(VOXELS, b"1 2 3", encoding="ascii"), "ends before"),
    "nrrd: text, too large for its type": (nrrd(VOXELS, b"70000 " * VOXELS.size, encoding="ascii"), "of the type"),
    "nrrd: text, not whole": (nrrd(VOXELS, b"1.5 " * VOXELS.size, encoding="text"), "of the type"),
    "nrrd: text, an endless number": (nrrd(VOXELS, b"1" * 200_000, encoding="text"), "too many digits"),
    "nrrd: hex, short": (nrrd(VOXELS, b"00ff", encoding="hex"), "ends before"),
    "nrrd: hex, other signs": (nrrd(VOXELS, b"zz" * VOXELS.nbytes, encoding="hex"), "hexadecimal"),
    "nrrd: a mirrored space": (nrrd(VOXELS, space="3D-left-handed"), "space is not"),
    "nrrd: a space of two dimensions": (nrrd(VOXELS, drop="space", space_dimension="2"), "three dimensions"),
    "nrrd: a series": (nrrd(VOXELS, dimension="4", sizes="5 6 7 2", kinds="domain domain domain list",
                            space_directions="(2,0,0) (0,3,0) (0,0,4) none"), "one value per voxel"),
    "mha: a series": (mha(VOXELS, NDims="4", DimSize="5 6 7 2"), "series"),
    "mha: the last bytes are too few": (mha(VOXELS, RAW[:-1], CompressedData="False", HeaderSize="-1"), "ends before"),
    "mgz: a series": (_gz(mgh(VOXELS, frames=2)), "series"),
    "mgz: a type of no name": (_gz(mgh(VOXELS, code=7)), "voxel type"),
    "mgz: a side of zero": (_gz(mgh(VOXELS, sides=(0, 6, 7))), "1 to 1024"),
    "mgz: short": (_gz(mgh(VOXELS)[:-2]), "fewer voxels"),
    "mgz: no size of a voxel": (_gz(mgh(VOXELS, sizes=(0, 1, 1))), "voxel size"),
    "mgh: short": (mgh(VOXELS)[:-2], "ends before"),
    "DICOM": (bytes(128) + b"DICM" + bytes(400), "DICOM"),
    "DICOM without its mark": (bytes((8, 0, 5, 0)) + b"CS" + bytes(400), "DICOM"),
    "DICOM in gzip": (_gz(bytes(128) + b"DICM" + bytes(400)), "DICOM"),
    "a tar in gzip": (_gz(bytes(257) + b"ustar" + bytes(400)), "tar archive"),
    "MINC": (b"\x89HDF\r\n\x1a\n" + bytes(400), "MINC"),
    "a NumPy array": (b"\x93NUMPY" + bytes(400), "NumPy"),
    "ANALYZE 7.5": (nifti_1(VOXELS, magic=b""), "ANALYZE"),
    "a web page": (b"<!DOCTYPE html>" + bytes(400), "web page"),
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


@pytest.mark.parametrize("build", [nifti_1, nrrd, mha, mgh])
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
        with pytest.raises(VolumeError, match=r"goes on|fewer voxels"):
            check(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
