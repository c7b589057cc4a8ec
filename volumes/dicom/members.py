"""The files that a series comes in: a zip archive, a folder, or one file; each read whole, within bounds.

Nothing is ever unpacked to a disk, so a name decides nothing; one that leads out of the archive tells that the archive
was not made by an export, and is refused.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from volumes.dicom.signs import files_below, is_archive
from volumes.volume import VolumeError

MAX_FILES = 8192
"""Of an archive or a folder: several series of a thin-slice CT."""
MAX_RATIO = 200
"""Plain bytes to packed ones, of the whole archive. Deflate reaches 1,030; slices of air and tissue, 2 to 20."""
SMALL_BYTES = 16 * 2**20
"""Plain: so much an archive may hold however well it is packed."""
MAX_DEPTH = 16
"""Of folders in an archive."""
KNOWN_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
LEADS_OUT = "The archive names a file outside itself, or a link. Pack the series anew."
DAMAGED = "The zip archive is damaged."


@dataclass(frozen=True)
class Bounds:
    """What one series may take."""

    max_voxels: int
    max_bytes: int
    """Of all files together, unpacked."""
    max_files: int = MAX_FILES


class Members(Protocol):
    """Files by number."""

    def __len__(self) -> int: ...
    def read(self, number: int) -> bytes:
        """Raises: VolumeError."""


class One:
    """A single file."""

    def __init__(self, file: BinaryIO, bounds: Bounds) -> None:
        self._file, self._bounds = file, bounds

    def __len__(self) -> int:
        return 1

    def read(self, number: int) -> bytes:  # noqa: ARG002
        if self._file.seek(0, os.SEEK_END) > self._bounds.max_bytes:
            raise VolumeError(f"The file has more than the {self._bounds.max_bytes} bytes that are accepted.")
        self._file.seek(0)
        return self._file.read()


class Folder:
    """The files below a folder of the user's own."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        """Raises: VolumeError, where there are too many."""
        self._files = files_below(folder)
        _check_count(len(self._files), bounds, "folder")

    def __len__(self) -> int:
        return len(self._files)

    def read(self, number: int) -> bytes:
        return self._files[number].read_bytes()


class Archive:
    """The files of a zip archive."""

    def __init__(self, file: BinaryIO, bounds: Bounds) -> None:
        """Raises: VolumeError, for an archive that is damaged, too large, or no export of images."""
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as err:
            raise VolumeError(DAMAGED) from err
        entries = self._zip.infolist()
        _check_count(len(entries), bounds, "archive")
        for entry in entries:
            _check_entry(entry)
        self._entries = [entry for entry in entries if not entry.is_dir()]
        self._check_size(bounds)

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, number: int) -> bytes:
        """No more than the entry says of itself, and sound by its checksum."""
        entry = self._entries[number]
        try:
            with self._zip.open(entry) as file:
                data = file.read(entry.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as err:
            raise VolumeError(DAMAGED) from err
        if len(data) != entry.file_size:
            raise VolumeError(DAMAGED)
        if is_archive(data):
            raise VolumeError("The archive holds another archive. Pack the images of the series alone.")
        return data

    def _check_size(self, bounds: Bounds) -> None:
        plain = sum(entry.file_size for entry in self._entries)
        packed = sum(entry.compress_size for entry in self._entries)
        if plain > bounds.max_bytes:
            raise VolumeError(f"The archive unpacks to more than the {bounds.max_bytes} bytes that are accepted.")
        if plain > max(SMALL_BYTES, MAX_RATIO * packed):
            raise VolumeError(
                f"The archive unpacks to more than {MAX_RATIO} times its size, as no series of images does."
            )


def opened_members(source: BinaryIO | Path, bounds: Bounds) -> Members:
    """Of a folder, or an open file. Raises: VolumeError."""
    if isinstance(source, Path):
        return Folder(source, bounds)
    head = source.read(4)
    source.seek(0)
    return Archive(source, bounds) if is_archive(head) else One(source, bounds)


def numbered(members: Members) -> Iterator[tuple[int, bytes]]:
    """Each file with its number, one in memory at a time. Raises: VolumeError."""
    for number in range(len(members)):
        yield number, members.read(number)


def _check_count(count: int, bounds: Bounds, what: str) -> None:
    if count > bounds.max_files:
        raise VolumeError(
            f"The {what} holds more than the {bounds.max_files} files that are accepted: send one series."
        )


def _check_entry(entry: zipfile.ZipInfo) -> None:
    """Raises: VolumeError."""
    name = PurePosixPath(entry.orig_filename.replace("\\", "/"))
    is_link = stat.S_ISLNK(entry.external_attr >> 16)
    if is_link or name.is_absolute() or ".." in name.parts or ":" in str(name) or "\0" in str(name):
        raise VolumeError(LEADS_OUT)
    if len(name.parts) > MAX_DEPTH:
        raise VolumeError(f"The archive has more than {MAX_DEPTH} folders one in another.")
    if entry.flag_bits & ENCRYPTED:
        raise VolumeError("The archive is encrypted. Pack the series without a password.")
    if entry.compress_type not in KNOWN_PACKINGS:
        raise VolumeError("The archive is packed in another way than by deflate. Pack the series as a plain zip.")
