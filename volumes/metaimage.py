"""MetaImage files with their data attached (.mha): the strict header reader and the writer.

Source: the MetaIO documentation of Kitware. World coordinates are LPS, as ITK takes them.
"""

import os
import re
from typing import BinaryIO

import numpy as np

from volumes.packing import ZLIB_WINDOW, packed, voxel_bytes
from volumes.reader_limits import LPS_TO_RAS, MAX_HEADER_BYTES, MAX_SCALE, Header, Limits, Marking, checked_shape
from volumes.stream import Stream, open_stream
from volumes.text import integers, lines_of, numbers, written
from volumes.volume import Affine, Volume, VolumeError, checked_affine

NAME = re.compile(r"[^\s=][^=]{0,200}")
"""Of a field. Names that ITK takes over from other formats have any signs: "0008|0060", "dim[0]"."""
END_OF_HEADER = re.compile(rb"(?:^|\n)ElementDataFile *=([^\r\n]*)\r?\n")
DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
ELEMENT_TYPES = {name: word for word, name in reversed(DTYPES.items())}
DIRECTION_NAMES = ("TransformMatrix", "Rotation", "Orientation")
ORIGIN_NAMES = ("Offset", "Position", "Origin")
FIXED = {
    "ObjectType": ("Image", "Image"),
    "NDims": ("3", ""),
    "BinaryData": ("True", ""),
    "HeaderSize": ("0", "0"),
    "ElementNumberOfChannels": ("1", "1"),
    "DistanceUnits": ("mm", "mm"),
}
"""Fields with one accepted value, and what a header without them is taken to say."""


def starts_like(head: bytes) -> bool:
    """Whether the first bytes are a text field of a MetaImage header."""
    return re.match(rb"(ObjectType|NDims|Comment|ObjectSubType) *=", head) is not None


def open_volume(file: BinaryIO, limits: Limits) -> tuple[Header, Stream]:
    """The checked header, and the stream at the first voxel. Raises: VolumeError."""
    header = read_header(file, limits)
    return header, open_stream(file, header.codec)


def read_header(file: BinaryIO, limits: Limits) -> Header:
    """Read and check the header and leave the file at its first packed voxel.

    Raises:
        VolumeError: anything but a sound header of one 3-D volume of a plain number type with attached data.
    """
    head = file.read(MAX_HEADER_BYTES)
    end = END_OF_HEADER.search(head)
    if end is None:
        raise VolumeError(f"The MetaImage header is malformed or longer than {MAX_HEADER_BYTES} bytes.")
    if end.group(1).strip().upper() != b"LOCAL":
        raise VolumeError("A MetaImage file whose voxels lie in another file is not accepted.")
    fields = _fields(head[: end.start()])
    for name, (accepted, default) in FIXED.items():
        if fields.get(name, default).lower() != accepted.lower():
            raise VolumeError("The MetaImage file must hold one binary 3-D volume in mm with one channel and no skips.")
    dtype = _dtype(fields)
    shape = checked_shape(integers(fields.get("DimSize", "")), dtype.itemsize, limits)
    slope, intercept = (
        numbers(fields.get(f"ElementToIntensityFunction{name}", default), 1)[0]
        for name, default in (("Slope", "1"), ("Offset", "0"))
    )
    if slope == 0 or max(abs(slope), abs(intercept)) > MAX_SCALE:
        raise VolumeError("The header's intensity scaling is out of range.")
    is_packed = _flag(fields, "CompressedData")
    if is_packed and "CompressedDataSize" in fields:
        room = os.fstat(file.fileno()).st_size - end.end()
        if integers(fields["CompressedDataSize"]) != [room]:
            raise VolumeError("The MetaImage header's size of the compressed data is not that of the file.")
    file.seek(end.end())
    return Header(
        "mha", shape, dtype, _affine(fields), end.end(), "zlib" if is_packed else "raw", slope, intercept
    )  # fmt: skip


def _fields(head: bytes) -> dict[str, str]:
    """The header's fields; MetaIO allows names of the writer's own."""
    fields: dict[str, str] = {}
    for line in lines_of(head):
        name, equals, value = line.partition("=")
        name = name.rstrip(" ")
        if not equals or NAME.fullmatch(name) is None:
            raise VolumeError("The MetaImage header has a line that is not in the format.")
        if name in fields:
            raise VolumeError("The MetaImage header has a field twice.")
        fields[name] = value.strip()
    return fields


def _flag(fields: dict[str, str], name: str) -> bool:
    word = fields.get(name, "False").lower()
    if word not in ("true", "false"):
        raise VolumeError("A field of the MetaImage header must be True or False.")
    return word == "true"


def _dtype(fields: dict[str, str]) -> "np.dtype[np.generic]":
    name = DTYPES.get(fields.get("ElementType", ""))
    if name is None:
        raise VolumeError("The voxel type is not one of the plain integer or real types of 8 to 64 bits.")
    if _flag(fields, "BinaryDataByteOrderMSB") != _flag(fields, "ElementByteOrderMSB") and (
        "BinaryDataByteOrderMSB" in fields and "ElementByteOrderMSB" in fields
    ):
        raise VolumeError("The MetaImage header gives two byte orders.")
    is_big = _flag(fields, "BinaryDataByteOrderMSB") or _flag(fields, "ElementByteOrderMSB")
    dtype: np.dtype[np.generic] = np.dtype(name)
    return dtype.newbyteorder(">" if is_big else "<")


def _one_of(fields: dict[str, str], names: tuple[str, ...], default: str) -> str:
    """The value of a field that has several names."""
    given = [fields[name] for name in names if name in fields]
    if len(given) > 1:
        raise VolumeError("The MetaImage header gives its place twice.")
    return given[0] if given else default


def _affine(fields: dict[str, str]) -> Affine:
    """Unit directions (one axis after the other), voxel sizes and the first voxel's place -> RAS+ mm."""
    directions = np.reshape(numbers(_one_of(fields, DIRECTION_NAMES, "1 0 0 0 1 0 0 0 1"), 9), (3, 3)).T
    if not (np.abs(directions) < 2).all() or (np.abs(np.linalg.norm(directions, axis=0) - 1) > 1e-3).any():
        raise VolumeError("A direction in the MetaImage header is not a unit vector.")
    if "ElementSpacing" not in fields and "ElementSize" not in fields:
        raise VolumeError("The MetaImage header does not give the size of a voxel.")
    sizes = np.array(numbers(fields.get("ElementSpacing", fields.get("ElementSize", "")), 3))
    if not (sizes > 0).all():
        raise VolumeError("A voxel size is not a positive number.")
    world = np.eye(4)
    world[:3, :3] = directions * sizes
    world[:3, 3] = numbers(_one_of(fields, ORIGIN_NAMES, "0 0 0"), 3)
    return checked_affine(LPS_TO_RAS @ world)


def write(volume: Volume, file: BinaryIO, marking: Marking) -> None:
    """Write a volume (X, Y, Z), zlib-packed: all of it first, because the header states the packed size."""
    world = LPS_TO_RAS @ volume.affine
    sizes = np.array(volume.spacing_mm)
    parts = list(packed(voxel_bytes(volume.array), ZLIB_WINDOW))
    lines = [
        "ObjectType = Image",
        f"Comment = {marking.description}",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {sum(len(part) for part in parts)}",
        f"TransformMatrix = {written((world[:3, :3] / sizes).T.ravel())}",
        f"Offset = {written(world[:3, 3])}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {written(sizes)}",
        f"DimSize = {' '.join(str(side) for side in volume.shape)}",
        *([f"ElementToIntensityFunctionSlope = {marking.slope!r}"] if marking.slope != 1 else []),
        f"ElementType = {ELEMENT_TYPES[volume.array.dtype.str[1:]]}",
        "ElementDataFile = LOCAL",
    ]
    file.write(("\n".join(lines) + "\n").encode("ascii"))
    file.writelines(parts)
