"""The strict check of an uploaded volume, by its content. It runs in the API: no SimpleITK, nibabel or torch."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from volumes import metaimage, nifti, nrrd
from volumes.formats import READ, READABLE, listed
from volumes.reader_limits import Header, Limits
from volumes.stream import CHUNK_BYTES, Stream
from volumes.volume import VolumeError

Range = tuple[float, float]


class Reader(NamedTuple):
    """How files of a kind are told and opened."""

    starts_like: Callable[[bytes], bool]
    """Whether the first 32 bytes are such a file's."""
    open_volume: Callable[[BinaryIO, Limits], tuple[Header, Stream]]
    """The checked header, and the stream at the first voxel."""


READERS = {
    "nifti": Reader(nifti.starts_like, nifti.open_volume),
    "nrrd": Reader(nrrd.starts_like, nrrd.open_volume),
    "metaimage": Reader(metaimage.starts_like, metaimage.open_volume),
}
"""By the name that the table of formats gives."""


def check(source: Path | BinaryIO, limits: Limits = Limits(), values: Range | None = None) -> Header:  # noqa: B008
    """Read a file, by its path or open, to its last byte in bounded memory and return its checked header.

    values: least and largest that a voxel may have; None: any.

    Raises:
        VolumeError: whatever is not one sound 3-D volume of a known format, and a voxel beyond `values`.
    """
    with opened(source, limits) as (header, stream):
        left = header.data_bytes
        while left:
            data = stream.take(min(left, CHUNK_BYTES))
            left -= len(data)
            if values is not None and not _within(data, header, *values):
                raise VolumeError(f"A voxel lies outside the {values[0]:g} to {values[1]:g} that are taken here.")
    return header


def _within(data: bytes, header: Header, low: float, high: float) -> bool:
    """Whether all voxels of a chunk, scaled as the header says, are numbers from low to high."""
    voxels = np.frombuffer(data, header.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [float(end) * header.slope + header.intercept for end in (voxels.min(), voxels.max())]
    return min(ends) >= low and max(ends) <= high  # not so with NaN, which min and max pass on


@contextmanager
def opened(source: Path | BinaryIO, limits: Limits) -> Iterator[tuple[Header, Stream]]:
    """The checked header and the stream at the first voxel. On leaving, the stream must be at its sound end.

    An open file is read from its start, and stays open.
    """
    opening: AbstractContextManager[BinaryIO] = source.open("rb") if isinstance(source, Path) else nullcontext(source)
    with opening as file:
        header, stream = _read_header(file, limits)
        yield header, stream
        stream.finish()


def _read_header(file: BinaryIO, limits: Limits) -> tuple[Header, Stream]:
    """Tell the format by the first bytes; the file's name is only a label."""
    file.seek(0)
    head = file.read(32)
    file.seek(0)
    for row in READ:
        reader = READERS[str(row.reader)]
        if reader.starts_like(head):
            return reader.open_volume(file, limits)
    raise VolumeError(f"The file is not a volume of a known format ({listed(READABLE)}).")
