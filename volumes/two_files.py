"""Volumes in two files, a header and its voxels beside it, made one: for the user's own files, never for uploads.

Only a file in the header's own folder is taken, under a name without a folder: a header may come from anywhere.
"""

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from volumes import metaimage, nifti, nrrd
from volumes.reader_limits import MAX_HEADER_BYTES
from volumes.stream import GZIP_MAGIC
from volumes.text import header_lines, integers
from volumes.volume import VolumeError

MISSING = "The file that holds the voxels is not beside its header."
ELSEWHERE = "The header names several files, or one in another folder: save the volume in one file, such as .nii.gz."
NIFTI_HEADERS, NIFTI_VOXELS = (".hdr", ".hdr.gz"), (".img", ".img.gz")


class Parts(NamedTuple):
    """What a one-file volume is made of."""

    head: bytes
    voxels: Path
    skipped: int = 0
    """Bytes of that file that go before the voxels and are left out."""


@contextmanager
def as_one_file(path: Path) -> Iterator[Path]:
    """A file itself, or where its voxels lie in another one a temporary file of both. Either of a NIfTI pair will do.

    Raises:
        VolumeError: the other file is not there, or there is no room for the temporary one.
    """
    is_voxels = path.name.lower().endswith(NIFTI_VOXELS)
    parts = _parts(_beside(path, NIFTI_VOXELS, NIFTI_HEADERS) if is_voxels else path)
    if parts is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "volume"
        try:
            with one.open("wb") as target, parts.voxels.open("rb") as source:
                target.write(parts.head)
                source.seek(parts.skipped)
                shutil.copyfileobj(source, target)
        except OSError as err:
            raise VolumeError("The two files of the volume cannot be joined in the temporary folder.") from err
        yield one


def _parts(path: Path) -> Parts | None:
    """None of a file that is whole, or that is no volume at all."""
    with path.open("rb") as file:
        head = file.read(544)
        file.seek(0)
        if path.name.lower().endswith(NIFTI_HEADERS) and head.startswith(GZIP_MAGIC):
            head = _unpacked(path)
        if nifti.starts_like(head):
            return _of_nifti(path, head)
        if nrrd.starts_like(head):
            return _of_nrrd(path, header_lines(file, nrrd.is_last_line))
        if metaimage.starts_like(head):
            return _of_metaimage(path, header_lines(file, metaimage.is_last_line))
    return None


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(544)
    except (OSError, EOFError) as err:
        raise VolumeError("The header of the volume is damaged.") from err


def _of_nifti(path: Path, head: bytes) -> Parts | None:
    """The mark of a single file, and the voxels as far behind the header as they were in a file of their own."""
    size = nifti.length_of(head)
    if len(head) < size:
        return None
    fields = nifti.fields_of(head).copy()
    if bytes(fields["magic"]) != nifti.TWO_FILES_MAGIC[size]:
        return None
    if not 0 <= fields["vox_offset"] <= MAX_HEADER_BYTES:
        raise VolumeError("The header does not say where the voxels start.")
    fields["magic"] = nifti.SINGLE_FILE_MAGIC[size]
    fields["vox_offset"] += size + 4
    one, voxels = fields.tobytes() + bytes(4), _beside(path, NIFTI_HEADERS, NIFTI_VOXELS)
    with voxels.open("rb") as file:
        is_packed = file.read(2) == GZIP_MAGIC
    return Parts(gzip.compress(one, mtime=0) if is_packed else one, voxels)  # a gzip file may have several members


def _of_nrrd(path: Path, lines: list[str]) -> Parts | None:
    fields = nrrd.fields_of(lines)
    if "datafile" not in fields:
        return None
    kept = [line for line in lines if line and line.partition(":")[0].replace(" ", "").lower() != "datafile"]
    return Parts(_text([*kept, ""]), _named(path, fields["datafile"]))


def _of_metaimage(path: Path, lines: list[str]) -> Parts | None:
    fields = metaimage.fields_of(lines)
    if fields["ElementDataFile"].upper() == "LOCAL":
        return None
    left_out = {"ElementDataFile"}
    skipped = 0
    if fields.get("HeaderSize", "0") != "-1":
        (skipped,) = integers(fields.get("HeaderSize", "0"))[:1]
        left_out.add("HeaderSize")
    kept = [line for line in lines if line.partition("=")[0].strip() not in left_out]
    return Parts(_text([*kept, "ElementDataFile = LOCAL"]), _named(path, fields["ElementDataFile"]), skipped)


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _named(header: Path, name: str) -> Path:
    """The file in the header's folder that it names. Raises: VolumeError."""
    if name in ("", ".", "..") or Path(name).name != name or "\\" in name or "%" in name or name.startswith("LIST"):
        raise VolumeError(ELSEWHERE)
    return _existing([header.parent / name])


def _beside(path: Path, endings: tuple[str, ...], others: tuple[str, ...]) -> Path:
    """The other file of a pair, by its ending in small or capital letters. Raises: VolumeError."""
    ending = max((ending for ending in endings if path.name.lower().endswith(ending)), key=len, default=path.suffix)
    stem = path.name[: len(path.name) - len(ending)]
    return _existing([path.parent / f"{stem}{other}" for word in others for other in (word, word.upper())])


def _existing(candidates: list[Path]) -> Path:
    for path in candidates:
        if path.is_file():
            return path
    raise VolumeError(MISSING)
