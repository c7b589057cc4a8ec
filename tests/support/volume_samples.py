"""Small volumes and hand-made files for the tests of volumes/, made without the code under test."""

import gzip
import itertools
import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from volumes.volume import Array, Volume

ALL_CODES = [
    "".join(pair[way] for pair, way in zip(pairs, ways, strict=True))
    for pairs in itertools.permutations(("RL", "AP", "SI"))
    for ways in itertools.product((0, 1), repeat=3)
]
SHAPE = (5, 6, 7)


def placement(oblique: bool) -> NDArray[np.float64]:
    """An affine in RAS with unequal voxel sizes; oblique: turned by some degrees about each axis."""
    affine = np.diag([0.7, 0.9, 2.5, 1.0])
    if oblique:
        for axis, degrees in enumerate((9.0, -14.0, 21.0)):
            c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            turn = np.eye(4)
            i, j = [k for k in range(3) if k != axis]
            turn[i, i], turn[j, j], turn[i, j], turn[j, i] = c, c, -s, s
            affine = turn @ affine
    affine[:3, 3] = 5.25, -60.5, 71.125
    return affine


def numbered(dtype: str = "i2") -> Array:
    """(5, 6, 7): each value once, so that a value names its voxel."""
    return np.random.default_rng(4).permutation(int(np.prod(SHAPE))).reshape(SHAPE).astype(dtype)


def turned(array: Array, affine: NDArray[np.float64], codes: str) -> Volume:
    """The same voxels at the same places with axes along `codes`, by nibabel's orientations."""
    change = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(codes)))
    moved = nib.orientations.apply_orientation(array, change)
    return Volume(moved, affine @ nib.orientations.inv_ornt_aff(change, array.shape))


def places(array: Array, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3): RAS+ mm of each voxel, in the order of the voxels' values."""
    index = np.argwhere(np.ones(array.shape, bool))[np.argsort(array, axis=None, kind="stable")]
    return index @ affine[:3, :3].T + affine[:3, 3]


def seen_by_sitk(path: Path) -> tuple[Array, NDArray[np.float64]]:
    """Array (X, Y, Z) and RAS+ affine as SimpleITK reads the file."""
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ affine


def nifti_1(array: Array, order: str = "<", **fields: object) -> bytes:
    """An uncompressed NIfTI-1 file, packed by hand; `gap` is what lies between header and voxels."""
    f = {
        "size": 348, "dim": (3, *array.shape, 1, 1, 1, 1), "code": {"i2": 4, "u1": 2, "f4": 16}[array.dtype.str[1:]],
        "bits": 8 * array.itemsize, "pixdim": (1, 1, 1, 1, 0, 0, 0, 0), "offset": 352, "slope": 1, "inter": 0,
        "units": 2, "qform": 0, "sform": 1, "quatern": (0, 0, 0), "qoffset": (0, 0, 0), "magic": b"n+1",
        "gap": b"\0\0\0\0", "srow": (2, 0, 0, -5, 0, 3, 0, -6, 0, 0, 4, 7),
    } | fields  # fmt: skip
    header = struct.pack(f"{order}i36x8h14x", f["size"], *f["dim"])
    header += struct.pack(f"{order}2h2x8f3f", f["code"], f["bits"], *f["pixdim"], f["offset"], f["slope"], f["inter"])
    header += struct.pack(f"{order}3xB128x2h", f["units"], f["qform"], f["sform"])
    header += struct.pack(f"{order}3f3f12f16x4s", *f["quatern"], *f["qoffset"], *f["srow"], f["magic"])
    assert len(header) == 348
    return header + f["gap"] + array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")


def mgh(array: Array, tail: bytes = b"", **fields: object) -> bytes:
    """A FreeSurfer volume, packed by hand; `tail` follows the voxels."""
    f = {
        "sides": array.shape, "frames": 1, "code": {"u1": 0, "i4": 1, "f4": 3, "i2": 4}[array.dtype.str[1:]],
        "is_placed": 1, "sizes": (2, 3, 4), "turn": (-1, 0, 0, 0, 0, -1, 0, 1, 0), "centre": (5, 6, 7),
    } | fields  # fmt: skip
    header = struct.pack(">7ih", 1, *f["sides"], f["frames"], f["code"], 0, f["is_placed"])
    header += struct.pack(">15f", *f["sizes"], *f["turn"], *f["centre"])
    return header.ljust(284, b"\0") + array.astype(array.dtype.newbyteorder(">")).tobytes(order="F") + tail


def nrrd(array: Array, data: bytes | None = None, drop: str = "", **fields: str) -> bytes:
    """An NRRD file. Fields are given with _ for blanks; `drop` leaves one out."""
    lines = {
        "type": {"i2": "short", "u1": "uchar", "f4": "float"}[array.dtype.str[1:]], "dimension": "3",
        "space": "left-posterior-superior", "sizes": " ".join(map(str, array.shape)),
        "space directions": "(2,0,0) (0,3,0) (0,0,4)", "kinds": "domain domain domain", "endian": "little",
        "encoding": "gzip", "space origin": "(5,6,7)",
    } | {name.replace("_", " "): value for name, value in fields.items()}  # fmt: skip
    lines.pop(drop, None)
    text = "NRRD0004\n# made by hand\n" + "".join(f"{name}: {value}\n" for name, value in lines.items())
    raw = array.tobytes(order="F")
    packed = gzip.compress(raw) if lines["encoding"] == "gzip" else raw
    return text.encode() + b"a key:=a value\n\n" + (packed if data is None else data)


def mha(array: Array, data: bytes | None = None, drop: str = "", **fields: str) -> bytes:
    """A MetaImage file with its data attached. `drop` leaves one field out."""
    raw = array.tobytes(order="F")
    is_packed = fields.get("CompressedData", "True") == "True"
    body = data if data is not None else zlib.compress(raw) if is_packed else raw
    lines = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True", "CompressedDataSize": str(len(body)), "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "5 6 7", "ElementSpacing": "2 3 4", "DimSize": " ".join(map(str, array.shape)),
        "ElementType": {"i2": "MET_SHORT", "u1": "MET_UCHAR", "f4": "MET_FLOAT"}[array.dtype.str[1:]],
    } | fields  # fmt: skip
    last = lines.pop("ElementDataFile", "LOCAL")
    lines.pop(drop, None)
    return (
        "".join(f"{name} = {value}\n" for name, value in lines.items()).encode()
        + f"ElementDataFile = {last}\n".encode()
        + body
    )
