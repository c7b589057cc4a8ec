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
    """As requests name it: its first ending without the dot, save of a series."""
    title: str
    """For people."""
    endings: tuple[str, ...]
    """Of file names, in small letters."""
    media_type: str
    reader: str | None = None
    """Whose name in `volumes.upload_check.READERS`, of a series the room; None: such files are not read."""
    writer: str | None = None
    """Whose name in `volumes.files.WRITERS`; None: such files are not written."""
    dtypes: tuple[str, ...] = PLAIN_TYPES
    """Types of voxels that the writer puts into a file."""
    unit_dtypes: tuple[str, ...] = PLAIN_TYPES
    """Those that hold [0, 1]: of integers, where the header says what a step is worth and readers heed it."""
    is_packed: bool = False
    """Whether the writer compresses."""
    is_series: bool = False
    """Whether it is a series of images, of which `volumes.dicom` makes a NIfTI file at the door."""
    is_in_two: bool = False
    """Whether the voxels lie in another file beside such a header, so that the two must be joined first."""

    def is_name_of(self, file_name: str) -> bool:
        """Whether a file's name has one of the endings, in small or capital letters."""
        return file_name.lower().endswith(self.endings)


REALS = ("float32", "float64")
IN_16_BITS = ("uint8", "int16", "uint16", "float32")
"""Of DICOM images: whole numbers as they are, real ones by slope and intercept."""
FORMATS = (
    VolumeFormat(
        "nii.gz", "NIfTI, compressed", (".nii.gz",), "application/gzip", "nifti", "nifti, compressed", is_packed=True
    ),
    VolumeFormat("nii", "NIfTI", (".nii",), BYTES, "nifti", "nifti"),
    VolumeFormat("nrrd", "NRRD", (".nrrd",), BYTES, "nrrd", "nrrd", unit_dtypes=REALS, is_packed=True),
    VolumeFormat("mha", "MetaImage", (".mha",), BYTES, "metaimage", "metaimage", unit_dtypes=REALS, is_packed=True),
    VolumeFormat("mgz", "FreeSurfer, compressed", (".mgz", ".mgh.gz"), "application/gzip", "mgh"),
    VolumeFormat("mgh", "FreeSurfer", (".mgh",), BYTES, "mgh"),
    VolumeFormat("hdr", "NIfTI in two files", (".hdr", ".hdr.gz"), BYTES, "nifti", is_in_two=True),
    VolumeFormat("nhdr", "NRRD in two files", (".nhdr",), BYTES, "nrrd", is_in_two=True),
    VolumeFormat("mhd", "MetaImage in two files", (".mhd",), BYTES, "metaimage", is_in_two=True),
    VolumeFormat(
        "dicom",
        "DICOM series",
        (".dcm.zip", ".zip", ".dcm"),
        "application/zip",
        "dicom",
        "dicom",
        dtypes=IN_16_BITS,
        unit_dtypes=IN_16_BITS,
        is_packed=True,
        is_series=True,
    ),
    VolumeFormat("npy", "NumPy", (".npy",), BYTES, None, "npy"),
)
BY_NAME = {row.name: row for row in FORMATS}
WRITTEN = tuple(row for row in FORMATS if row.writer is not None)
READ = tuple(row for row in FORMATS if row.reader is not None)
READABLE = tuple(ending for row in READ if not row.is_in_two for ending in row.endings)
"""Endings of the files that are read each for itself."""
READABLE_HERE = tuple(ending for row in READ for ending in row.endings)
"""And those of the headers whose second file can be looked for beside them."""

if TYPE_CHECKING:
    FileFormat = str
else:
    FileFormat = Literal[tuple(row.name for row in WRITTEN)]
"""The name of a format that is written; the request's schema lists them."""

OutputType = Literal["int16", "uint8", "float32"]
"""Types of voxels that a request may ask for, where the format holds them."""


def is_readable(file_name: str) -> bool:
    """Whether a file's name has the ending of a file that is read for itself."""
    return file_name.lower().endswith(READABLE)


def is_readable_here(file_name: str) -> bool:
    """Whether a file's name has the ending of a file that is read, alone or with the one beside it. What macOS leaves
    beside a file on foreign disks, "._NAME", is none."""
    return file_name.lower().endswith(READABLE_HERE) and not file_name.startswith("._")


def listed(words: Iterable[str], last: str = "or") -> str:
    """ "a, b or c", of two words and more."""
    *first, final = words
    return f"{', '.join(first)} {last} {final}"
