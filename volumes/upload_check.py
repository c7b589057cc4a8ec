"""The strict check of an uploaded volume, by its content. It runs in the API: no SimpleITK, nibabel or torch."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np

from volumes import metaimage, nifti, nrrd
from volumes.reader_limits import Header, Limits
from volumes.stream import CHUNK_BYTES, Stream, open_stream
from volumes.volume import VolumeError

Range = tuple[float, float]

GZIP_MAGIC = b"\x1f\x8b"


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
    if head.startswith(GZIP_MAGIC):
        stream = open_stream(file, "gzip")
        return nifti.read_header(stream, limits, "nii.gz"), stream
    if nifti.starts_like(head):
        stream = open_stream(file, "raw")
        return nifti.read_header(stream, limits, "nii"), stream
    if head.startswith(b"NRRD"):
        header = nrrd.read_header(file, limits)
        return header, open_stream(file, header.codec)
    if metaimage.starts_like(head):
        header = metaimage.read_header(file, limits)
        return header, open_stream(file, header.codec)
    raise VolumeError("The file is not a NIfTI (.nii, .nii.gz), NRRD (.nrrd) or MetaImage (.mha) volume.")
