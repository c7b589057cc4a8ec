"""MetaImage files with their data attached (.mha): the header reader and the writer.

Source: the MetaIO documentation of Kitware. World coordinates are LPS, as ITK takes them, and intensity scalings are
left aside on reading and writing, as ITK leaves them.
"""

import os
from typing import BinaryIO

import numpy as np

from volumes import assumptions
from volumes.codecs.packing import ZLIB_WINDOW, packed, voxel_bytes
from volumes.codecs.text import header_lines, integers, numbers, written
from volumes.codecs.text_voxels import voxel_stream
from volumes.reader_limits import (
    LPS_TO_RAS,
    MAX_HEADER_BYTES,
    SEND_ONE_FILE,
    Codec,
    Header,
    Limits,
    Marking,
    checked_shape,
)
from volumes.stream import GZIP_MAGIC, SHORT, Source, Stream
from volumes.volume import Affine, Volume, VolumeError, checked_affine

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
ORIGIN_NAMES = ("Offset", "Position", "Origin", "ImagePosition")
MM_PER_UNIT = {"": 1.0, "?": 1.0, "um": 0.001, "mm": 1.0, "cm": 10.0}
FIXED = {"ObjectType": "Image", "ElementNumberOfChannels": "1"}
"""Fields with one accepted value."""
UTF_8_MARK = b"\xef\xbb\xbf"
UNSCALED = {"Slope": "1", "Offset": "0"}
HEEDED = {
    *DIRECTION_NAMES, *ORIGIN_NAMES, *FIXED, "NDims", "BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB",
    "CompressedData", "CompressedDataSize", "HeaderSize", "DimSize", "ElementSpacing", "ElementSize", "ElementType",
    "DistanceUnits", "ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset", "ElementDataFile",
}  # fmt: skip
"""Fields that say where the voxels lie or what they are. All others are the writer's own, whatever their signs and
lines: "0008|0060", "dim[0]"."""
PASSED_OVER = {
    "Comment", "ObjectSubType", "Name", "ID", "ParentID", "Color", "AcquisitionDate", "TransformType",
    "CenterOfRotation", "AnatomicalOrientation", "Modality", "SequenceID", "ElementMin", "ElementMax", "ElementNBits",
}  # fmt: skip
"""Fields of the format without such a say, with which a header may begin."""


def starts_like(head: bytes) -> bool:
    """Whether the first bytes are a field of a MetaImage header, perhaps behind blank lines or the mark of UTF-8."""
    name, equals, _ = head.removeprefix(UTF_8_MARK).partition(b"=")
    return bool(equals) and name.strip().decode("latin-1") in HEEDED | PASSED_OVER


def open_volume(source: Source, limits: Limits) -> tuple[Header, Stream]:
    """The checked header, and the stream at the first voxel.

    Raises:
        VolumeError: anything but a sound header of one 3-D volume of a plain number type with attached data.
    """
    file = source.file
    fields = fields_of(header_lines(file, is_last_line))
    if fields["ElementDataFile"].upper() != "LOCAL":
        raise VolumeError(f"The voxels of this MetaImage header lie in another file. {SEND_ONE_FILE}")
    header = _checked(fields, file.tell(), limits)
    size = None
    if header.codec == "zlib" and fields.get("CompressedDataSize", "0") != "0":
        (size,) = integers(fields["CompressedDataSize"])[:1]
    _to_first_voxel(file, fields, header)
    return header, voxel_stream(file, _codec_at(file, header.codec), header.dtype, size)


def is_last_line(line: str) -> bool:
    """Whether the voxels follow."""
    return line.partition("=")[0].strip() == "ElementDataFile"


def fields_of(lines: list[str]) -> dict[str, str]:
    """The fields that have a say. Lines of the writer's own, and the further lines of a value, are passed over.

    Raises:
        VolumeError: one of them twice, or none that names the data.
    """
    fields: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or name not in HEEDED:
            continue
        if name in fields:
            raise VolumeError("The MetaImage header has a field twice.")
        fields[name] = value.strip()
    if "ElementDataFile" not in fields:
        raise VolumeError("The MetaImage header does not say where its voxels are: it is truncated, or no MetaImage.")
    return fields


def _checked(fields: dict[str, str], offset: int, limits: Limits) -> Header:
    for name, accepted in FIXED.items():
        if fields.get(name, accepted).lower() != accepted.lower():
            raise VolumeError("The MetaImage file must hold one image with one channel.")
    notes: list[str] = []
    dtype = _dtype(fields)
    shape = checked_shape(_sides(fields), dtype.itemsize, limits)
    scaling = [numbers(fields.get(f"ElementToIntensityFunction{name}", own), 1) for name, own in UNSCALED.items()]
    if scaling != [[1.0], [0.0]]:
        notes.append(assumptions.METAIMAGE_SCALING)
    codec: Codec = "zlib" if _flag(fields, "CompressedData") else "raw"
    if not _flag(fields, "BinaryData", "True"):
        if codec != "raw":
            raise VolumeError("The MetaImage header says that its voxels are text and that they are packed.")
        codec = "text"
    affine = _affine(fields, notes)
    return Header("mha", shape, dtype, affine, offset, codec, assumed=tuple(notes))


def _sides(fields: dict[str, str]) -> list[int]:
    """The sides of a volume. Further dimensions are accepted where they are 1 long."""
    sides = integers(fields.get("DimSize", ""))
    if integers(fields.get("NDims", "")) != [len(sides)]:
        raise VolumeError("The MetaImage header's sides are not as many as its dimensions.")
    if any(side != 1 for side in sides[3:]):
        raise VolumeError("The file must hold one three-dimensional volume; it holds a series of several.")
    return sides[:3]


def _to_first_voxel(file: BinaryIO, fields: dict[str, str], header: Header) -> None:
    """HeaderSize: -1 says that the voxels are the last bytes of the file, a number where in the file they start."""
    size = fields.get("HeaderSize", "0")
    if size == "-1" and header.codec == "raw":
        if file.seek(0, os.SEEK_END) - header.data_offset < header.data_bytes:
            raise VolumeError(SHORT)
        file.seek(-header.data_bytes, os.SEEK_END)
    elif size != "0":
        (start,) = (0,) if size == "-1" else integers(size)[:1]
        if not header.data_offset <= start <= MAX_HEADER_BYTES:
            raise VolumeError("The MetaImage header's HeaderSize does not lead to its voxels.")
        file.seek(start)


def _codec_at(file: BinaryIO, codec: Codec) -> Codec:
    """Packed voxels may be gzip instead of zlib, as ITK takes both."""
    if codec != "zlib":
        return codec
    start = file.read(len(GZIP_MAGIC))
    file.seek(-len(start), os.SEEK_CUR)
    return "gzip" if start == GZIP_MAGIC else "zlib"


def _flag(fields: dict[str, str], name: str, default: str = "False") -> bool:
    word = fields.get(name, default).lower()
    if word not in ("true", "false", "t", "f", "1", "0"):
        raise VolumeError("A field of the MetaImage header must be True or False.")
    return word in ("true", "t", "1")


def _dtype(fields: dict[str, str]) -> "np.dtype[np.generic]":
    name = DTYPES.get(fields.get("ElementType", ""))
    if name is None:
        raise VolumeError("The voxel type is not one of the plain integer or real types of 8 to 64 bits.")
    orders = {_flag(fields, order) for order in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if order in fields}
    if len(orders) > 1:
        raise VolumeError("The MetaImage header gives two byte orders.")
    dtype: np.dtype[np.generic] = np.dtype(name)
    return dtype.newbyteorder(">" if True in orders else "<")


def _one_of(fields: dict[str, str], names: tuple[str, ...]) -> str | None:
    """The value of a field that has several names."""
    given = [fields[name] for name in names if name in fields]
    if len({tuple(value.split()) for value in given}) > 1:
        raise VolumeError("The MetaImage header gives its place twice.")
    return given[0] if given else None


def _affine(fields: dict[str, str], notes: list[str]) -> Affine:
    """Unit directions (one axis after the other), voxel sizes and the first voxel's place -> RAS+ mm.

    As in ITK a size below zero turns its axis, and what is not given is identity, 1 mm and 0.
    """
    count = integers(fields["NDims"])[0]
    turn, origin = _one_of(fields, DIRECTION_NAMES), _one_of(fields, ORIGIN_NAMES)
    sizes = fields.get("ElementSpacing", fields.get("ElementSize"))
    missing = ((turn, assumptions.LPS), (sizes, assumptions.VOXEL_SIZE), (origin, assumptions.ORIGIN))
    notes += [note for value, note in missing if value is None]
    world = np.eye(4)
    if turn is not None:
        world[:3, :3] = np.reshape(numbers(turn, count * count), (count, count))[:3, :3].T
    if (np.abs(np.linalg.norm(world[:3, :3], axis=0) - 1) > 1e-2).any():
        raise VolumeError("A direction in the MetaImage header is not a unit vector.")
    world[:3, :3] *= [1.0] * 3 if sizes is None else numbers(sizes, count)[:3]
    world[:3, 3] = [0.0] * 3 if origin is None else numbers(origin, count)[:3]
    scale = MM_PER_UNIT.get(fields.get("DistanceUnits", "").lower())
    if scale is None:
        raise VolumeError("The MetaImage header's unit of length is unknown.")
    world[:3] *= scale
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
        f"ElementType = {ELEMENT_TYPES[volume.array.dtype.str[1:]]}",
        "ElementDataFile = LOCAL",
    ]
    file.write(("\n".join(lines) + "\n").encode("ascii"))
    file.writelines(parts)
