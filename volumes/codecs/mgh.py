"""FreeSurfer's volumes (.mgh, .mgz): the header reader. Source: FreeSurfer's description of the MGH format.

Everything is big-endian. What follows the voxels (repetition time, tags) is passed over.
"""

import numpy as np

from volumes import assumptions
from volumes.reader_limits import Header, Limits, checked_shape
from volumes.stream import Source, Stream, skip
from volumes.volume import Affine, VolumeError, checked_affine

LAYOUT = np.dtype(
    [
        ("version", ">i4"), ("sides", ">i4", 3), ("frames", ">i4"), ("type", ">i4"), ("dof", ">i4"),
        ("is_placed", ">i2"), ("sizes", ">f4", 3), ("directions", ">f4", (3, 3)), ("centre", ">f4", 3),
    ]
)  # fmt: skip
HEADER_BYTES = 284
DTYPES = {0: "u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
CORONAL = ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
"""Directions of the axes, one after the other, in the columns of FreeSurfer's default."""


def starts_like(head: bytes) -> bool:
    """Whether the first bytes are version 1 and a type of voxel that exists."""
    return len(head) >= 24 and head[:4] == b"\0\0\0\1" and int.from_bytes(head[20:24], "big") <= 10


def open_volume(source: Source, limits: Limits) -> tuple[Header, Stream]:
    """The checked header, and the stream at the first voxel. Raises: VolumeError."""
    fields = np.frombuffer(source.stream.take(LAYOUT.itemsize), LAYOUT)[0]
    name = DTYPES.get(int(fields["type"]))
    if name is None:
        raise VolumeError("The voxel type is not one of the plain integer or real types of 8 to 64 bits.")
    if int(fields["frames"]) not in (0, 1):
        raise VolumeError("The file must hold one three-dimensional volume; it holds a series of several.")
    dtype: np.dtype[np.generic] = np.dtype(name)
    shape = checked_shape([int(side) for side in fields["sides"]], dtype.itemsize, limits)
    skip(source.stream, HEADER_BYTES - LAYOUT.itemsize)
    is_placed = int(fields["is_placed"]) > 0
    header = Header(
        format="mgz" if source.is_packed else "mgh", shape=shape, dtype=dtype,
        affine=_affine(fields, shape) if is_placed else _unplaced(shape), data_offset=HEADER_BYTES,
        codec="gzip" if source.is_packed else "raw", assumed=() if is_placed else (assumptions.CORONAL,),
    )  # fmt: skip
    return header, source.stream


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused in the end
def _affine(fields: "np.void", shape: tuple[int, int, int]) -> Affine:
    """Directions and sizes, and the place of the middle, which is index side / 2."""
    affine = np.eye(4)
    affine[:3, :3] = fields["directions"].T * fields["sizes"]
    affine[:3, 3] = fields["centre"] - affine[:3, :3] @ (np.array(shape) / 2)
    return checked_affine(affine)


def _unplaced(shape: tuple[int, int, int]) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = np.transpose(CORONAL)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) / 2)
    return affine
