"""Volumes in two files, a header and its voxels, made one: the user's own files, or two that were sent together.

Only a file in the header's own folder is taken, under a name without a folder: a header may come from anywhere. Of an
upload no file is looked for at all.
"""

import gzip
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from volumes.codecs import metaimage, nifti, nrrd
from volumes.codecs.text import header_lines, integers
from volumes.dicom.jail import converted
from volumes.dicom.signs import files_below, is_series
from volumes.reader_limits import LARGEST, MAX_HEADER_BYTES
from volumes.stream import GZIP_MAGIC
from volumes.volume import VolumeError

STRANGERS = "Two files were sent as the volume, and neither is the header of the other."
MISSING = "The file that holds the voxels is not beside its header."
ELSEWHERE = "The header names several files, or one in another folder: save the volume in one file, such as .nii.gz."
NIFTI_HEADERS, NIFTI_VOXELS = (".hdr", ".hdr.gz"), (".img", ".img.gz")


HEAD_BYTES, BLOCK_BYTES = 560, 2**20
Find = Callable[[str | None], BinaryIO]
"""Opens the voxels by the name that a header gives them, None for the other of a NIfTI pair. Raises: VolumeError."""


class Parts(NamedTuple):
    """What a one-file volume is made of."""

    head: bytes
    voxels: BinaryIO
    skipped: int = 0
    """Bytes of that file that go before the voxels and are left out."""


@contextmanager
def as_one_file(path: Path, series: int | None = None) -> Iterator[Path]:
    """A file itself, or where its voxels lie in another one a temporary file of both. Either of a NIfTI pair will do.

    Of a DICOM series, in a zip archive, a multi-frame file or a folder, a temporary NIfTI file; `series`: its number,
    where there are several.

    Raises:
        VolumeError: the other file is not there, there is no room for the temporary one, or the series is refused.
    """
    if is_series(path):
        with converted(path, LARGEST, series) as one:
            yield one
        return
    if path.is_dir():
        raise VolumeError("The folder holds no DICOM images.")
    is_voxels = path.name.lower().endswith(NIFTI_VOXELS)
    header = _beside(path, NIFTI_VOXELS, NIFTI_HEADERS) if is_voxels else path
    with header.open("rb") as file:
        parts = _parts(file, partial(_found, header), is_in_two=header.name.lower().endswith(NIFTI_HEADERS))
    if parts is None:
        yield header
        return
    with parts.voxels, tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "volume"
        try:
            with one.open("wb") as target:
                _write(parts, target.write)
        except OSError as err:
            raise VolumeError("The two files of the volume cannot be joined in the temporary folder.") from err
        yield one


def take_bytes(path: Path, take: Callable[[bytes], object]) -> None:
    """Hands over what a scan consists of, so that it is known again: the bytes of the one file that it is made, or of
    each file of a DICOM series as it is, which is not read as a volume for that.

    Raises:
        VolumeError: as `as_one_file`.
    """
    if path.is_dir() and is_series(path):
        for file in files_below(path):
            take(file.stat().st_size.to_bytes(8, "little"))
            _take_file(file, take)
    elif not path.is_dir() and is_series(path):
        _take_file(path, take)
    else:
        with as_one_file(path) as one:
            _take_file(one, take)


def _take_file(path: Path, take: Callable[[bytes], object]) -> None:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            take(block)


def join(first: BinaryIO, second: BinaryIO, write: Callable[[bytes], object]) -> None:
    """Two files that were sent together, in either order, as one. What the header calls the other does not matter.

    Raises:
        VolumeError: neither is the header of a volume in two files.
    """
    for header, voxels in ((first, second), (second, first)):
        header.seek(0)
        parts = _parts(header, partial(_sent, voxels), is_in_two=True)
        if parts is not None:
            _write(parts, write)
            return
    raise VolumeError(STRANGERS)


def _sent(voxels: BinaryIO, _: str | None) -> BinaryIO:
    return voxels


def _write(parts: Parts, write: Callable[[bytes], object]) -> None:
    write(parts.head)
    parts.voxels.seek(parts.skipped)
    while block := parts.voxels.read(BLOCK_BYTES):
        write(block)


def _parts(file: BinaryIO, find: Find, is_in_two: bool) -> Parts | None:
    """None of a file that is whole, or that is no volume at all. `is_in_two`: whether a NIfTI volume is taken to be so,
    whose header may be packed then, or have a single file's mark.
    """
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if is_in_two and head.startswith(GZIP_MAGIC):
        head = _unpacked(file)
    if nifti.starts_like(head):
        return _of_nifti(find, head, is_in_two)
    if nrrd.starts_like(head):
        return _of_nrrd(find, header_lines(file, nrrd.is_last_line))
    if metaimage.starts_like(head):
        return _of_metaimage(find, header_lines(file, metaimage.is_last_line))
    return None


def _unpacked(file: BinaryIO) -> bytes:
    try:
        with gzip.open(file) as content:
            return content.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error) as err:
        raise VolumeError("The header of the volume is damaged.") from err


def _of_nifti(find: Find, head: bytes, is_in_two: bool) -> Parts | None:
    """The mark of a single file, and the voxels as far behind the header as they were in a file of their own.

    To nibabel a header of two files may have that mark itself; here one with nothing behind it.
    """
    size = nifti.length_of(head)
    if len(head) < size:
        return None
    fields = nifti.fields_of(head).copy()
    may_be_marked = is_in_two and len(head) <= size + 4
    marks = {nifti.TWO_FILES_MAGIC[size], *([nifti.SINGLE_FILE_MAGIC[size]] if may_be_marked else [])}
    if bytes(fields["magic"]) not in marks:
        return None
    if not 0 <= fields["vox_offset"] <= MAX_HEADER_BYTES:
        raise VolumeError("The header does not say where the voxels start.")
    fields["magic"] = nifti.SINGLE_FILE_MAGIC[size]
    fields["vox_offset"] += size + 4
    one, voxels = fields.tobytes() + bytes(4), find(None)
    voxels.seek(0)
    is_packed = voxels.read(2) == GZIP_MAGIC
    return Parts(gzip.compress(one, mtime=0) if is_packed else one, voxels)  # a gzip file may have several members


def _of_nrrd(find: Find, lines: list[str]) -> Parts | None:
    fields = nrrd.fields_of(lines)
    if "datafile" not in fields:
        return None
    kept = [line for line in lines if line and line.partition(":")[0].replace(" ", "").lower() != "datafile"]
    return Parts(_text([*kept, ""]), find(_checked(fields["datafile"])))


def _of_metaimage(find: Find, lines: list[str]) -> Parts | None:
    fields = metaimage.fields_of(lines)
    if fields["ElementDataFile"].upper() == "LOCAL":
        return None
    left_out = {"ElementDataFile"}
    skipped = 0
    if fields.get("HeaderSize", "0") != "-1":
        (skipped,) = integers(fields.get("HeaderSize", "0"))[:1]
        left_out.add("HeaderSize")
    kept = [line for line in lines if line.partition("=")[0].strip() not in left_out]
    return Parts(_text([*kept, "ElementDataFile = LOCAL"]), find(_checked(fields["ElementDataFile"])), skipped)


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _checked(name: str) -> str:
    """A file's name without a folder, perhaps as ./NAME. Raises: VolumeError."""
    name = name.removeprefix("./")
    if name in ("", ".", "..") or Path(name).name != name or "\\" in name or _are_several(name):
        raise VolumeError(ELSEWHERE)
    return name


def _are_several(name: str) -> bool:
    """Whether what should be a name says that a list follows, or is a pattern with the first and the last number."""
    first, *others = name.split() or [""]
    return first == "LIST" or ("%" in name and bool(others))


def _found(header: Path, name: str | None) -> BinaryIO:
    """The file beside the header that it names, or by the endings of a pair. Raises: VolumeError."""
    beside = _beside(header, NIFTI_HEADERS, NIFTI_VOXELS) if name is None else _existing([header.parent / name])
    return beside.open("rb")


def _beside(path: Path, endings: tuple[str, ...], others: tuple[str, ...]) -> Path:
    """The other file of a pair, by its ending in small or capital letters. Raises: VolumeError."""
    ending = max((ending for ending in endings if path.name.lower().endswith(ending)), key=len, default=path.suffix)
    stem = path.name[: len(path.name) - len(ending)]
    return _existing([path.parent / f"{stem}{other}" for word in others for other in (word, word.upper())])


def _existing(candidates: list[Path]) -> Path:
    for path in candidates:
        if os.path.isfile(path):  # noqa: PTH113 -- says no of a name that is too long, where Path.is_file raises
            return path
    raise VolumeError(MISSING)
