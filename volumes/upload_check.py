"""The check of an uploaded volume, by its content. It runs in the API: no SimpleITK, nibabel or torch."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from volumes import foreign_files
from volumes.codecs import metaimage, mgh, nifti, nrrd
from volumes.reader_limits import Header, Limits
from volumes.stream import CHUNK_BYTES, Source, Stream, opened_source
from volumes.volume import VolumeError

Range = tuple[float, float]


class Reader(NamedTuple):
    """How files of a kind are told and opened."""

    starts_like: Callable[[bytes], bool]
    """Whether the first unpacked bytes are such a file's."""
    open_volume: Callable[[Source, Limits], tuple[Header, Stream]]
    """The checked header, and the stream at the first voxel."""
    is_in_gzip: bool = False
    """Whether a whole file of that kind may be packed by gzip."""


READERS = {
    "nifti": Reader(nifti.starts_like, nifti.open_volume, is_in_gzip=True),
    "nrrd": Reader(nrrd.starts_like, nrrd.open_volume),
    "metaimage": Reader(metaimage.starts_like, metaimage.open_volume),
    "mgh": Reader(mgh.starts_like, mgh.open_volume, is_in_gzip=True),
}
"""By the name that the table of formats gives."""
HEAD_BYTES = 264


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
    source = opened_source(file, HEAD_BYTES)
    for reader in READERS.values():
        if reader.starts_like(source.head) and (reader.is_in_gzip or not source.is_packed):
            return reader.open_volume(source, limits)
    raise foreign_files.refusal(source.head, source.is_packed)
