"""Volumes from and to files."""

from pathlib import Path

import numpy as np

from volumes.check import opened
from volumes.header import Header, Limits
from volumes.stream import CHUNK_BYTES, Stream
from volumes.volume import Array, Volume


def read(path: Path, limits: Limits = Limits()) -> Volume:  # noqa: B008 -- frozen
    """Check a file as `volumes.check` does and return its volume, in one pass over the bytes.

    Integers keep their type; reals, and integers with an intensity scaling, become float32.

    Raises:
        VolumeError: whatever is not one sound 3-D volume of a known format.
    """
    with opened(path, limits) as (header, stream):
        array = _take_voxels(header, stream)
    return Volume(array, header.affine)


def _take_voxels(header: Header, stream: Stream) -> Array:
    """The voxels (X, Y, Z), memory in file order (X fastest), in native byte order."""
    is_real = header.is_scaled or header.dtype.kind == "f"
    array = np.empty(header.shape, np.dtype(np.float32) if is_real else header.dtype.newbyteorder("="), order="F")
    flat = array.reshape(-1, order="F")  # a view
    block = CHUNK_BYTES // header.dtype.itemsize
    for start in range(0, header.voxels, block):
        part = flat[start : start + block]
        with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes infinite
            part[:] = np.frombuffer(stream.take(part.size * header.dtype.itemsize), header.dtype)
            if header.is_scaled:
                part *= np.float32(header.slope)
                part += np.float32(header.intercept)
    return array
