"""NRRD files with their data attached (.nrrd): the header reader and the writer.

Source: the NRRD format definition of the Teem project, versions 1 to 5. World coordinates are turned from the header's
space (LPS, RAS or LAS) to RAS on reading and written as LPS.
"""

import os
import re
from typing import BinaryIO

import numpy as np

from volumes.codecs.nrrd_axes import axes_of
from volumes.codecs.packing import GZIP_WINDOW, packed, voxel_bytes
from volumes.codecs.text import header_lines, integers, written
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
from volumes.stream import SHORT, Source, Stream, skip
from volumes.volume import Volume, VolumeError

MAGIC = re.compile("NRRD000[1-6]")
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
DTYPES = {word: name for name, words in TYPES.items() for word in words}
CODECS: dict[str, Codec] = {
    "raw": "raw", "gzip": "gzip", "gz": "gzip", "ascii": "text", "text": "text", "txt": "text", "hex": "hex"
}  # fmt: skip
IGNORED = {
    "content", "number", "min", "max", "oldmin", "oldmax", "sampleunits", "labels", "thicknesses", "measurementframe"
}  # fmt: skip
"""Fields of the format without a say in where the voxels lie or what they are. Names are without their blanks."""
HEEDED = {
    "type", "dimension", "sizes", "encoding", "endian", "space", "spacedimension", "spacedirections", "spaceorigin",
    "spaceunits", "spacings", "kinds", "lineskip", "byteskip", "axismins", "axismaxs", "centers", "units", "datafile",
}  # fmt: skip
OTHER_NAMES = {"centerings": "centers"}
DATA_FILES = re.compile(r"data ?file: *LIST( +\d+)?", re.IGNORECASE)
"""The last field of a header: the lines behind it are names of files."""


def starts_like(head: bytes) -> bool:
    """Whether the first bytes are an NRRD file's."""
    return head.startswith(b"NRRD0")


def open_volume(source: Source, limits: Limits) -> tuple[Header, Stream]:
    """The checked header, and the stream at the first voxel.

    Raises:
        VolumeError: anything but a sound header of one 3-D volume of a plain number type with attached data.
    """
    file = source.file
    fields = fields_of(header_lines(file, is_last_line))
    if "datafile" in fields:
        raise VolumeError(f"The voxels of this NRRD header lie in another file. {SEND_ONE_FILE}")
    header = _checked(fields, file.tell(), limits)
    return header, _stream(file, fields, header)


def is_last_line(line: str) -> bool:
    """Whether the voxels follow, or a list of the files that hold them."""
    return not line or DATA_FILES.fullmatch(line.rstrip()) is not None


def fields_of(lines: list[str]) -> dict[str, str]:
    """The fields by their names without blanks. Comments and the keys of the file's own making are passed over,
    whatever colons are in them.

    Raises:
        VolumeError: no NRRD header, a field that is not in the format, or one twice.
    """
    if not lines or not MAGIC.fullmatch(lines[0]):
        raise VolumeError("The NRRD header is malformed, or of a version later than those that are read.")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key, is_key, _ = line.partition(":=")
        name = name.replace(" ", "").lower()
        name = OTHER_NAMES.get(name, name)
        is_known = name in HEEDED | IGNORED
        if not line or line.startswith("#") or (is_key and (": " not in key or not is_known)):
            continue
        if not colon or not is_known:
            raise VolumeError("The NRRD header has a line that is not in the format.")
        if name in fields:
            raise VolumeError("The NRRD header has a field twice.")
        fields[name] = value.strip()
    return fields


def _checked(fields: dict[str, str], offset: int, limits: Limits) -> Header:
    codec = CODECS.get(fields.get("encoding", "").lower())
    if codec is None:
        raise VolumeError("The NRRD encoding must be raw, gzip, text or hex.")
    dtype = _dtype(fields, codec)
    notes: list[str] = []
    sides, affine = axes_of(fields, notes)
    shape = checked_shape(sides, dtype.itemsize, limits)
    return Header("nrrd", shape, dtype, affine, offset, codec, assumed=tuple(notes))


def _dtype(fields: dict[str, str], codec: Codec) -> "np.dtype[np.generic]":
    name = DTYPES.get(" ".join(fields.get("type", "").lower().split()))
    if name is None:
        raise VolumeError("The voxel type is not one of the plain integer or real types of 8 to 64 bits.")
    dtype: np.dtype[np.generic] = np.dtype(name)
    if dtype.itemsize == 1 or codec == "text":
        return dtype
    if fields.get("endian", "").lower() not in ("little", "big"):
        raise VolumeError("The NRRD header does not say its byte order.")
    return dtype.newbyteorder("<" if fields["endian"].lower() == "little" else ">")


def _stream(file: BinaryIO, fields: dict[str, str], header: Header) -> Stream:
    """Line skip counts lines of the file, byte skip bytes of what is unpacked; -1 says that the voxels come last."""
    (lines,) = integers(fields.get("lineskip", "0"))[:1]
    end = file.tell() + MAX_HEADER_BYTES
    for _ in range(min(lines, MAX_HEADER_BYTES)):
        if file.tell() >= end or not file.readline(end - file.tell()):
            raise VolumeError("The NRRD header skips more lines than the file has, or than are passed over.")
    if fields.get("byteskip") == "-1" and header.codec == "raw":
        if file.seek(0, os.SEEK_END) - header.data_offset < header.data_bytes:
            raise VolumeError(SHORT)
        file.seek(-header.data_bytes, os.SEEK_END)
        return voxel_stream(file, header.codec, header.dtype)
    stream = voxel_stream(file, header.codec, header.dtype)
    if fields.get("byteskip") == "-1":
        raise VolumeError("The NRRD header's byte skip of -1 is taken where the voxels are raw, as the format has it.")
    (bytes_before,) = integers(fields.get("byteskip", "0"))[:1]
    if bytes_before > MAX_HEADER_BYTES or (bytes_before and header.codec in ("text", "hex")):
        raise VolumeError("The NRRD header skips more bytes than are passed over.")
    skip(stream, bytes_before)
    return stream


def write(volume: Volume, file: BinaryIO, marking: Marking) -> None:
    """Write a volume (X, Y, Z), gzip-packed, with its provenance as a key of the header."""
    world = LPS_TO_RAS @ volume.affine
    vectors = [f"({written(column).replace(' ', ',')})" for column in world[:3].T]
    lines = [
        "NRRD0005",
        f"type: {TYPES[volume.array.dtype.str[1:]][-1]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(side) for side in volume.shape)}",
        f"space directions: {' '.join(vectors[:3])}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        'space units: "mm" "mm" "mm"',
        f"space origin: {vectors[3]}",
        "synthetic:=true",
        "provenance:=" + marking.text.replace("\\", "\\\\"),
    ]
    file.write(("\n".join(lines) + "\n\n").encode("ascii"))
    for part in packed(voxel_bytes(volume.array), GZIP_WINDOW):
        file.write(part)
