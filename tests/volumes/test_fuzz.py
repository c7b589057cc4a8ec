"""Whatever bytes come: a volume or a VolumeError, never another exception, a warning, or much memory."""

import contextlib
import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.volume_samples import mgh, mha, nifti_1, nrrd, numbered
from volumes.files import read
from volumes.reader_limits import Limits
from volumes.volume import VolumeError

VOXELS = numbered()
SOUND: dict[str, bytes] = {
    "nii": nifti_1(VOXELS),
    "nii, big-endian, qform": nifti_1(VOXELS, ">", sform=0, qform=1),
    "nii.gz": gzip.compress(nifti_1(VOXELS), mtime=0),
    "nrrd": nrrd(VOXELS, encoding="raw"),
    "nrrd, packed": nrrd(VOXELS),
    "mha": mha(VOXELS, CompressedData="False", drop="CompressedDataSize"),
    "mha, packed": mha(VOXELS),
    "nrrd, text": nrrd(VOXELS, " ".join(map(str, VOXELS.ravel(order="F"))).encode(), encoding="ascii"),
    "nrrd, hex": nrrd(VOXELS, VOXELS.tobytes(order="F").hex().encode(), encoding="hex"),
    "nrrd, spacings": nrrd(VOXELS, drop="space directions", encoding="raw")
    .replace(b"space: left-posterior-superior", b"spacings: 2 3 4\naxis mins: 1 2 nan")
    .replace(b"space origin: (5,6,7)\n", b""),
    "nii.gz of two members": gzip.compress(nifti_1(VOXELS)[:500]) + gzip.compress(nifti_1(VOXELS)[500:]),
    "mgh": mgh(VOXELS),
    "mgz": gzip.compress(mgh(VOXELS), mtime=0),
}
LIMITS = Limits(max_voxels=100_000, max_bytes=1 << 20)
FEW = settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = [b"0", b"-1", b"1e300", b"nan", b"LOCAL", b"none", b"()", b"\n", b"\n\n", b"\0", b"\xff" * 8, b"99999999999"]


def _survives(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with contextlib.suppress(VolumeError):
            read(path, LIMITS)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 << 20


def _each(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("name", SOUND)(FEW(test))


@_each
@given(spots=st.lists(st.tuples(st.integers(0, 419), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_header_bytes(name: str, spots: list[tuple[int, int]], tmp_path: Path) -> None:
    data = bytearray(SOUND[name])
    for place, value in spots:
        data[place % len(data)] = value
    _survives(bytes(data), tmp_path / "x")


@_each
@given(place=st.integers(0, 420), word=st.sampled_from(WORDS), removed=st.integers(0, 12))
def test_words_put_into_the_header(name: str, place: int, word: bytes, removed: int, tmp_path: Path) -> None:
    data = SOUND[name]
    _survives(data[:place] + word + data[place + removed :], tmp_path / "x")


@_each
@given(length=st.integers(0, 900))
def test_files_cut_anywhere(name: str, length: int, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(SOUND[name][:length])
    if length < len(SOUND[name]):
        with pytest.raises(VolumeError):
            read(tmp_path / "x", LIMITS)


@FEW
@given(data=st.binary(max_size=600), start=st.sampled_from([b"", b"\x1f\x8b\x08", b"NRRD0004\n", b"NDims = 3\n"]))
def test_any_bytes_at_all(data: bytes, start: bytes, tmp_path: Path) -> None:
    _survives(start + data, tmp_path / "x")


@FEW
@given(head=st.binary(min_size=344, max_size=344), order=st.sampled_from(["little", "big"]))
def test_any_nifti_header(head: bytes, order: str, tmp_path: Path) -> None:
    """Random fields between a right length and a right magic, with dimensions and type made plausible."""
    data = bytearray((348).to_bytes(4, order) + head)  # type: ignore[arg-type]
    data[40:56] = b"".join(side.to_bytes(2, order) for side in (3, 2, 2, 2, 1, 1, 1, 1))  # type: ignore[arg-type]
    data[70:74] = (4).to_bytes(2, order) + (16).to_bytes(2, order)  # type: ignore[arg-type]
    data[108:112] = nifti_1(VOXELS, "<" if order == "little" else ">")[108:112]
    data[344:348] = b"n+1\0"
    _survives(bytes(data) + bytes(4 + 16), tmp_path / "x")
