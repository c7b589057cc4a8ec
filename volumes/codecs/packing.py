"""Voxels as the bytes of a file, X fastest, slab by slab; and gzip that gives the same bytes for the same input."""

from collections.abc import Iterable, Iterator

import numpy as np
from isal import isal_zlib

from volumes.volume import Array

LEVEL = 1
GZIP_WINDOW, ZLIB_WINDOW = 31, 15
SLAB_BYTES = 1 << 21


def voxel_bytes(array: Array) -> Iterator[memoryview]:
    """The voxels of an array (X, Y, Z) in file order, X fastest, little-endian."""
    side_x, side_y, side_z = array.shape
    depth = max(1, SLAB_BYTES // (side_x * side_y * array.itemsize))
    x_is_fastest = abs(array.strides[0]) == min(abs(stride) for stride in array.strides)
    for start in range(0, side_z, depth):
        source = array[..., start : start + depth].T  # XYZ -> ZYX
        slab = np.empty(source.shape, array.dtype.newbyteorder("<"))
        if x_is_fastest:
            slab[...] = source
        else:  # steps of a power of two in memory miss the cache, so that each row is first gathered
            for y in range(side_y):
                slab[:, y] = np.ascontiguousarray(source[:, y].T).T
        yield slab.data


def packed(parts: Iterable[bytes | memoryview], window: int) -> Iterator[bytes]:
    """One gzip or zlib member of all parts: level 1, no time, no file name."""
    packer = isal_zlib.compressobj(level=LEVEL, wbits=window)
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()
