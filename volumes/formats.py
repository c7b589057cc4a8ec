"""The formats of volume files, one row each. Whoever asks which formats there are asks here: readers and writers, the
request, the command line, training's search for scans, and the page's accept list.

A new format is one row and its reader or writer. Nothing but the standard library is imported, so that a client and
the front end can ask too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

PLAIN_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
"""By numpy's names."""
BYTES = "application/octet-stream"


@dataclass(frozen=True)
class VolumeFormat:
    """A row of the table."""

    name: str
    """As requests name it: its first ending without the dot."""
    title: str
    """For people."""
    endings: tuple[str, ...]
    """Of file names, in small letters."""
    media_type: str
    reader: str | None = None
    """Whose name in `volumes.upload_check.READERS`; None: such files are not read."""
    writer: str | None = None
    """Whose name in `volumes.files.WRITERS`; None: such files are not written."""
    dtypes: tuple[str, ...] = PLAIN_TYPES
    """Types of voxels that the writer puts into a file."""

    def is_name_of(self, file_name: str) -> bool:
        """Whether a file's name has one of the endings, in small or capital letters."""
        return file_name.lower().endswith(self.endings)


FORMATS = (
    VolumeFormat("nii.gz", "NIfTI, compressed", (".nii.gz",), "application/gzip", "nifti", "nifti, compressed"),
    VolumeFormat("nii", "NIfTI", (".nii",), BYTES, "nifti", "nifti"),
    VolumeFormat("nrrd", "NRRD", (".nrrd",), BYTES, "nrrd", "nrrd"),
    VolumeFormat("mha", "MetaImage", (".mha",), BYTES, "metaimage", "metaimage"),
    VolumeFormat("npy", "NumPy", (".npy",), BYTES, None, "npy"),
)
BY_NAME = {row.name: row for row in FORMATS}
WRITTEN = tuple(row for row in FORMATS if row.writer is not None)
READ = tuple(row for row in FORMATS if row.reader is not None)
READABLE = tuple(ending for row in READ for ending in row.endings)
"""Endings of the files that are read."""

if TYPE_CHECKING:
    FileFormat = str
else:
    FileFormat = Literal[tuple(row.name for row in WRITTEN)]
"""The name of a format that is written; the request's schema lists them."""

OutputType = Literal["int16", "uint8", "float32"]
"""Types of voxels that a request may ask for, where the format holds them."""


def is_readable(file_name: str) -> bool:
    """Whether a file's name has the ending of a format that is read."""
    return any(row.is_name_of(file_name) for row in READ)


def listed(words: Iterable[str], last: str = "or") -> str:
    """ "a, b or c", of two words and more."""
    *first, final = words
    return f"{', '.join(first)} {last} {final}"
