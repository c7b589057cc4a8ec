"""Whether a file or a folder is DICOM, by first bytes alone: nothing of it is parsed here."""

import os
from itertools import islice
from pathlib import Path
from typing import BinaryIO

HEAD_BYTES = 132
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
"""The second of an archive without a file."""
BARE_STARTS = tuple(bytes((group, 0, element, 0)) for group in (2, 8) for element in (0, 1, 5, 8, 0x10, 0x16))
"""Of a file without the preamble."""
MOST_LOOKED_AT = 64
"""Files of a folder: reports and pictures may lie before the first image."""


def is_image(head: bytes) -> bool:
    """Whether a file that starts so is DICOM."""
    return head[128:132] == b"DICM" or head.startswith(BARE_STARTS)


def is_archive(head: bytes) -> bool:
    """Whether a file that starts so is a zip archive."""
    return head.startswith(ZIP_STARTS)


def is_dicom(file: BinaryIO) -> bool:
    """Whether an open file is DICOM or may hold a series of it."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return is_archive(head) or is_image(head)


def is_series(path: Path) -> bool:
    """Whether a path is a folder of DICOM, or a file that `is_dicom`."""
    if path.is_dir():
        return is_series_folder(path)
    with path.open("rb") as file:
        return is_dicom(file)


def is_series_folder(path: Path) -> bool:
    """Whether a folder, or one below it, has a DICOM file among its first ones."""
    return path.is_dir() and any(_starts_like_one(file) for file in islice(files_below(path), MOST_LOOKED_AT))


def files_below(folder: Path) -> "list[Path]":
    """All files of a folder and of those below it, by name; links to folders are not followed."""
    return sorted(
        file for place, _, names in os.walk(folder) for name in names if (file := Path(place) / name).is_file()
    )


def _starts_like_one(path: Path) -> bool:
    with path.open("rb") as file:
        return is_image(file.read(HEAD_BYTES))
