"""NRRD files with their data attached (.nrrd): the strict header reader and the writer.

Source: the NRRD format definition of the Teem project, versions 1 to 5. World coordinates are turned from the header's
space (LPS, RAS or LAS) to RAS on reading and written as LPS.
"""

import re
from typing import BinaryIO

import numpy as np

from volumes.packing import GZIP_WINDOW, packed, voxel_bytes
from volumes.reader_limits import LPS_TO_RAS, MAX_HEADER_BYTES, Codec, Header, Limits, Marking, checked_shape
from volumes.stream import Stream, open_stream
from volumes.text import integers, lines_of, numbers, written
from volumes.volume import Affine, Volume, VolumeError, checked_affine

MAGIC = re.compile(rb"NRRD000[1-5]\r?\n")
END_OF_HEADER = re.compile(rb"\r?\n\r?\n")
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
SPACES = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
}
"""Signs that turn a space's coordinates to RAS."""
MM_PER_UNIT = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "\u00b5m": 0.001, "\u03bcm": 0.001, "": 1.0, "???": 1.0}
CODECS: dict[str, Codec] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
SPATIAL_KINDS = {"domain", "space", "none", "???"}
IGNORED = {
    "content", "number", "min", "max", "oldmin", "oldmax", "sampleunits", "units", "labels", "thicknesses", "axismins",
    "axismaxs", "centers", "centerings", "measurementframe",
}  # fmt: skip
"""Fields of the format without a say in where the voxels lie or what they are. Names are without their blanks."""
HEEDED = {
    "type", "dimension", "sizes", "encoding", "endian", "space", "spacedimension", "spacedirections", "spaceorigin",
    "spaceunits", "spacings", "kinds", "lineskip", "byteskip",
}  # fmt: skip


def starts_like(head: bytes) -> bool:
    """Whether the first bytes are an NRRD file's."""
    return head.startswith(b"NRRD")


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
    magic, end = MAGIC.match(head), END_OF_HEADER.search(head)
    if magic is None or end is None:
        raise VolumeError(f"The NRRD header is malformed or longer than {MAX_HEADER_BYTES} bytes.")
    fields = _fields(head[magic.end() : end.start()])
    if any(fields.get(skip, "0") != "0" for skip in ("lineskip", "byteskip")):
        raise VolumeError("An NRRD file that skips bytes before its voxels is not accepted.")
    codec = CODECS.get(fields.get("encoding", "").lower())
    if codec is None:
        raise VolumeError("The NRRD encoding must be raw or gzip.")
    dtype = _dtype(fields)
    if not set(fields.get("kinds", "").lower().split()) <= SPATIAL_KINDS:
        raise VolumeError("Every axis of the NRRD volume must be a spatial one.")
    if integers(fields.get("dimension", "")) != [3]:
        raise VolumeError("The file must hold one three-dimensional volume.")
    shape = checked_shape(integers(fields.get("sizes", "")), dtype.itemsize, limits)
    file.seek(end.end())
    return Header("nrrd", shape, dtype, _affine(fields), end.end(), codec)


def _fields(head: bytes) -> dict[str, str]:
    """The header's fields. Comments and the keys of the file's own making are passed over."""
    fields: dict[str, str] = {}
    for line in lines_of(head):
        name, colon, value = line.partition(":")
        if line.startswith("#") or value.startswith("="):
            continue
        name = name.replace(" ", "").lower()
        if name == "datafile":
            raise VolumeError("An NRRD file whose voxels lie in another file is not accepted.")
        if not colon or name not in HEEDED | IGNORED:
            raise VolumeError("The NRRD header has a line that is not in the format.")
        if name in fields:
            raise VolumeError("The NRRD header has a field twice.")
        fields[name] = value.strip()
    return fields


def _dtype(fields: dict[str, str]) -> "np.dtype[np.generic]":
    name = DTYPES.get(" ".join(fields.get("type", "").lower().split()))
    if name is None:
        raise VolumeError("The voxel type is not one of the plain integer or real types of 8 to 64 bits.")
    dtype: np.dtype[np.generic] = np.dtype(name)
    if dtype.itemsize == 1:
        return dtype
    if fields.get("endian", "").lower() not in ("little", "big"):
        raise VolumeError("The NRRD header does not say its byte order.")
    return dtype.newbyteorder("<" if fields["endian"].lower() == "little" else ">")


def _affine(fields: dict[str, str]) -> Affine:
    """Directions and origin, or voxel sizes alone along LPS as in ITK, in RAS+ mm."""
    world = np.eye(4)
    signs = (-1.0, -1.0, 1.0)
    if "space" in fields or "spacedimension" in fields:
        if "space" in fields:
            if fields["space"].lower() not in SPACES:
                raise VolumeError("The NRRD space is not LPS, RAS or LAS.")
            signs = SPACES[fields["space"].lower()]
        if fields.get("spacedimension", "3") != "3":
            raise VolumeError("The NRRD space must have three dimensions.")
        vectors = _vectors(fields.get("spacedirections", ""))
        if len(vectors) != 3:
            raise VolumeError("The NRRD header does not give the direction of each axis.")
        world[:3, :3] = np.transpose(vectors)
        if "spaceorigin" in fields:
            world[:3, 3] = _vectors(fields["spaceorigin"])[0]
        world[:3] *= _unit_mm(fields.get("spaceunits", ""))
    elif "spacings" in fields:
        sizes = numbers(fields["spacings"], 3)
        if min(sizes) <= 0:
            raise VolumeError("A voxel size is not a positive number.")
        world[:3, :3] = np.diag(sizes)
    else:
        raise VolumeError("The NRRD header does not give the size of a voxel.")
    return checked_affine(np.diag([*signs, 1.0]) @ world)


def _vectors(text: str) -> list[list[float]]:
    """ "(1,0,0) (0,1,0)" -> its vectors."""
    if not re.fullmatch(r"(\([^()]*\)\s*)+", text):
        raise VolumeError("A direction or the origin in the NRRD header is malformed.")
    return [numbers(inner.replace(",", " "), 3) for inner in re.findall(r"\(([^()]*)\)", text)]


def _unit_mm(text: str) -> float:
    """Millimetres per unit of "space units", which must be the same on each axis."""
    units = set(re.findall(r'"([^"]*)"', text)) or {""}
    if len(units) != 1 or not units <= MM_PER_UNIT.keys():
        raise VolumeError("The NRRD header's unit of length is unknown.")
    return MM_PER_UNIT[units.pop()]


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
