"""NIfTI-1 and NIfTI-2 single files (.nii, .nii.gz): the header reader and the writer.

Sources: nifti1.h and nifti2.h of the NIfTI Data Format Working Group. Nothing here needs nibabel: uploads are judged
before any library sees them.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from volumes import assumptions
from volumes.codecs.packing import GZIP_WINDOW, packed, voxel_bytes
from volumes.quaternion import nearest_rotation, quaternion_of, rotation_of
from volumes.reader_limits import (
    MAX_HEADER_BYTES,
    MAX_SCALE,
    SEND_ONE_FILE,
    Header,
    Limits,
    Marking,
    checked_shape,
)
from volumes.stream import Source, Stream, skip
from volumes.volume import Affine, Volume, VolumeError, checked_affine

NIFTI_1 = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("unused", "S35"), ("dim_info", "u1"), ("dim", "<i2", 8), ("intent_p", "<f4", 3),
        ("intent_code", "<i2"), ("datatype", "<i2"), ("bitpix", "<i2"), ("slice_start", "<i2"), ("pixdim", "<f4", 8),
        ("vox_offset", "<f4"), ("scl_slope", "<f4"), ("scl_inter", "<f4"), ("slice_end", "<i2"), ("slice_code", "u1"),
        ("xyzt_units", "u1"), ("cal_max", "<f4"), ("cal_min", "<f4"), ("slice_duration", "<f4"), ("toffset", "<f4"),
        ("glmax", "<i4"), ("glmin", "<i4"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i2"),
        ("sform_code", "<i2"), ("quatern", "<f4", 3), ("qoffset", "<f4", 3), ("srow", "<f4", (3, 4)),
        ("intent_name", "S16"), ("magic", "S4"),
    ]
)  # fmt: skip
NIFTI_2 = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("magic", "S8"), ("datatype", "<i2"), ("bitpix", "<i2"), ("dim", "<i8", 8),
        ("intent_p", "<f8", 3), ("pixdim", "<f8", 8), ("vox_offset", "<i8"), ("scl_slope", "<f8"), ("scl_inter", "<f8"),
        ("cal_max", "<f8"), ("cal_min", "<f8"), ("slice_duration", "<f8"), ("toffset", "<f8"), ("slice_start", "<i8"),
        ("slice_end", "<i8"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i4"), ("sform_code", "<i4"),
        ("quatern", "<f8", 3), ("qoffset", "<f8", 3), ("srow", "<f8", (3, 4)), ("slice_code", "<i4"),
        ("xyzt_units", "<i4"), ("intent_code", "<i4"), ("intent_name", "S16"), ("dim_info", "u1"), ("unused", "S15"),
    ]
)  # fmt: skip
LAYOUTS = {348: NIFTI_1, 540: NIFTI_2}
SINGLE_FILE_MAGIC = {348: b"n+1", 540: b"n+2\x00\r\n\x1a\n"}
TWO_FILES_MAGIC = {348: b"ni1", 540: b"ni2\x00\r\n\x1a\n"}
DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
"""Datatype code -> numpy type. RGB, complex, 1-bit and 128-bit codes are left out on purpose."""
MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Low three bits of xyzt_units: unknown (mm to every reader), metre, millimetre, micrometre."""
MILLIMETRES, SCANNER, ALIGNED, COMMENT_EXTENSION = 2, 1, 2, 6
Notes = list[str]
"""What is assumed, gathered while a header is read."""


def starts_like(head: bytes) -> bool:
    """Whether the first four bytes are a NIfTI header's length, in either byte order."""
    return any(head[:4] == size.to_bytes(4, order) for size in LAYOUTS for order in ("little", "big"))


def open_volume(source: Source, limits: Limits) -> tuple[Header, Stream]:
    """The checked header, and the stream at the first voxel. Raises: VolumeError."""
    return read_header(source.stream, limits, source.is_packed), source.stream


def fields_of(head: bytes) -> Any:
    """The fields of a header, of either version and byte order, whose `dtype` says which. Raises: VolumeError."""
    size = min(int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
    layout = LAYOUTS[size] if head[:4] == size.to_bytes(4, "little") else LAYOUTS[size].newbyteorder()
    return np.frombuffer(head[:size], layout)[0]


def length_of(head: bytes) -> int:
    """How long the header is that begins with these four bytes."""
    return min(int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))


def read_header(stream: Stream, limits: Limits, is_packed: bool) -> Header:
    """Read and check everything before the first voxel, where the stream then stands.

    The datatype, the sides and vox_offset decide; what else the header says of them is not needed.

    Raises:
        VolumeError: anything but a sound header of one 3-D volume of a plain number type.
    """
    head = stream.take(4)
    size = length_of(head)
    fields = fields_of(head + stream.take(size - 4))
    magic = bytes(fields["magic"])
    if magic == TWO_FILES_MAGIC[size]:
        raise VolumeError(f"This is the header of a NIfTI volume in two files. {SEND_ONE_FILE}")
    if magic != SINGLE_FILE_MAGIC[size]:
        raise VolumeError(
            "The header is as long as NIfTI's but has not NIfTI's mark. ANALYZE 7.5's is such a one, and does not tell "
            "left from right: convert it to NIfTI first."
        )
    notes: Notes = _of_series(fields)
    dtype = _dtype(fields, notes)
    shape = checked_shape(_sides(fields), dtype.itemsize, limits)
    slope, intercept = _scaling(fields)
    affine = _affine(fields, shape, notes)
    offset = _voxels_at(fields, size, notes)
    skip(stream, offset - size)
    return Header(
        format="nii.gz" if is_packed else "nii", shape=shape, dtype=dtype, affine=affine, data_offset=offset,
        codec="gzip" if is_packed else "raw", slope=slope, intercept=intercept, assumed=tuple(notes),
    )  # fmt: skip


def _of_series(fields: Any) -> Notes:
    """What `volumes.dicom` did to the series that the file was made of."""
    said = bytes(fields["descrip"]).decode("latin-1")
    words = said.removeprefix(assumptions.SERIES).split() if said.startswith(assumptions.SERIES) else []
    return [assumptions.OF_SERIES[word] for word in words if word in assumptions.OF_SERIES]


def _dtype(fields: Any, notes: Notes) -> "np.dtype[np.generic]":
    name = DTYPES.get(int(fields["datatype"]))
    if name is None:
        raise VolumeError("The voxel type is not one of the plain integer or real types of 8 to 64 bits.")
    dtype: np.dtype[np.generic] = np.dtype(name).newbyteorder(fields.dtype["sizeof_hdr"].byteorder)
    if int(fields["bitpix"]) != 8 * dtype.itemsize:
        notes.append(assumptions.BITS)
    return dtype


def _sides(fields: Any) -> list[int]:
    """The sides of a volume. Further dimensions are accepted where they are 1 long; 0 and less says nothing."""
    sides = [int(side) for side in fields["dim"]]
    count, sides = sides[0], sides[1:]
    if not 1 <= count <= 7:
        raise VolumeError("The header's number of dimensions is out of range.")
    if count > 3 and any(side > 1 for side in sides[3:count]):
        raise VolumeError("The file must hold one three-dimensional volume; it holds a series of several.")
    return sides[: min(count, 3)]


def _scaling(fields: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or one that is not finite stands for none, as in nibabel."""
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not np.isfinite(slope):
        return 1.0, 0.0
    if not (abs(slope) <= MAX_SCALE and abs(intercept) <= MAX_SCALE):
        raise VolumeError("The header's intensity scaling is not finite.")
    return slope, intercept


def _voxels_at(fields: Any, size: int, notes: Notes) -> int:
    """Where the voxels start. What lies between is passed over, extensions or not."""
    offset = float(fields["vox_offset"])
    if offset == 0:
        notes.append(assumptions.OFFSET)
        return size + 4
    if not (np.isfinite(offset) and offset == int(offset) and size + 4 <= offset <= MAX_HEADER_BYTES):
        raise VolumeError(
            f"The voxels must start behind the header, within the first {MAX_HEADER_BYTES >> 20} MiB of the file."
        )
    return int(offset)


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused in the end
def _affine(fields: Any, shape: tuple[int, int, int], notes: Notes) -> Affine:
    """sform, else qform, else the voxel sizes alone (nifti1.h, methods 3, 2 and 1), in mm."""
    scale = MM_PER_UNIT.get(int(fields["xyzt_units"]) & 7)
    sform, has_qform = np.vstack([fields["srow"], [0, 0, 0, 1]]).astype(np.float64), int(fields["qform_code"]) > 0
    if scale is None:
        notes.append(assumptions.MILLIMETRES)
    scale = scale or 1.0
    if int(fields["sform_code"]) > 0:
        if _is_placement(sform, scale) or (sform[:3].any() and not has_qform):
            return _scaled(sform, scale)
        notes.append(assumptions.QFORM_FOR_SFORM if has_qform else assumptions.NO_SFORM)
    sizes = _voxel_sizes(fields, notes)
    return _scaled(_qform(fields, sizes) if has_qform else _unplaced(sizes, shape, notes), scale)


def _scaled(affine: Affine, scale: float) -> Affine:
    """In mm. Raises: VolumeError."""
    return checked_affine(np.diag([scale, scale, scale, 1.0]) @ affine)


def _is_placement(affine: Affine, scale: float) -> bool:
    try:
        _scaled(affine, scale)
    except VolumeError:
        return False
    return True


def _voxel_sizes(fields: Any, notes: Notes) -> Affine:
    """Of pixdim: what is no size counts as 1, as in ITK, and a sign has no meaning."""
    sizes = np.array(fields["pixdim"][1:4], dtype=np.float64)
    is_size = np.isfinite(sizes) & (sizes != 0)
    if not is_size.all():
        notes.append(assumptions.VOXEL_SIZE)
    sizes = np.where(is_size, sizes, 1.0)
    if (sizes < 0).any():
        notes.append(assumptions.VOXEL_SIGN)
    return np.abs(sizes)


def _qform(fields: Any, sizes: Affine) -> Affine:
    affine = np.eye(4)
    handed = -1.0 if float(fields["pixdim"][0]) < 0 else 1.0
    affine[:3, :3] = rotation_of(np.array(fields["quatern"], dtype=np.float64)) * (sizes * (1.0, 1.0, handed))
    affine[:3, 3] = fields["qoffset"]
    return affine


def _unplaced(sizes: Affine, shape: tuple[int, int, int], notes: Notes) -> Affine:
    """Where no form is given, what nibabel and FSL take: LAS, the middle at the origin."""
    notes.append(assumptions.NIFTI_PLACE)
    steps = sizes * (-1.0, 1.0, 1.0)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -steps * (np.array(shape) - 1) / 2
    return affine


def write(volume: Volume, file: BinaryIO, marking: Marking) -> None:
    """Write a volume (X, Y, Z) as NIfTI-1 in RAS+ mm, marked as synthetic, its provenance a header extension."""
    file.writelines(_parts(volume, marking))


def write_packed(volume: Volume, file: BinaryIO, marking: Marking) -> None:
    """As `write`, in one gzip member."""
    file.writelines(packed(_parts(volume, marking), GZIP_WINDOW))


def _parts(volume: Volume, marking: Marking) -> Iterator[bytes | memoryview]:
    """The bytes of the file."""
    extension = _extension(marking)
    fields = np.zeros((), NIFTI_1)
    fields["sizeof_hdr"], fields["magic"], fields["vox_offset"] = 348, b"n+1", 352 + len(extension)
    fields["dim"] = (3, *volume.shape, 1, 1, 1, 1)
    fields["datatype"] = next(code for code, name in DTYPES.items() if name == volume.array.dtype.str[1:])
    fields["bitpix"] = 8 * volume.array.dtype.itemsize
    fields["scl_slope"], fields["xyzt_units"] = marking.slope, MILLIMETRES
    fields["descrip"] = marking.description
    if marking.window is not None:
        fields["cal_min"], fields["cal_max"] = (end * marking.slope for end in marking.window)
    _place(fields, volume.affine, ALIGNED if marking.is_assumed else SCANNER)
    yield fields.tobytes() + (b"\1\0\0\0" if extension else b"\0\0\0\0") + extension
    yield from voxel_bytes(volume.array)


def _place(fields: Any, affine: Affine, code: int) -> None:
    """sform, and qform as near to it as a rotation can be: ITK opens no file that has a sheared sform alone."""
    fields["srow"], fields["sform_code"], fields["qform_code"] = affine[:3], code, code
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    handed = -1.0 if np.linalg.det(affine[:3, :3]) < 0 else 1.0
    fields["pixdim"] = (handed, *sizes, 0, 0, 0, 0)
    fields["quatern"] = quaternion_of(nearest_rotation(affine[:3, :3] / sizes * (1, 1, handed)))
    fields["qoffset"] = affine[:3, 3]


def _extension(marking: Marking) -> bytes:
    """The provenance as JSON in a comment extension (code 6), or nothing where there is none."""
    if not marking.provenance:
        return b""
    text = marking.text
    length = -(-(8 + len(text)) // 16) * 16
    return np.array([length, COMMENT_EXTENSION], "<i4").tobytes() + text.encode("ascii").ljust(length - 8, b"\0")
