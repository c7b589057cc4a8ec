"""NIfTI-1 and NIfTI-2 single files (.nii, .nii.gz): the strict header reader and the writer.

Sources: nifti1.h and nifti2.h of the NIfTI Data Format Working Group. Nothing here needs nibabel: uploads are judged
before any library sees them.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from volumes.packing import GZIP_WINDOW, packed, voxel_bytes
from volumes.quaternion import quaternion_of, rotation_of
from volumes.reader_limits import MAX_HEADER_BYTES, MAX_SCALE, Header, Limits, Marking, checked_shape
from volumes.stream import Stream, open_stream
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
GZIP_MAGIC = b"\x1f\x8b"
LAYOUTS = {348: NIFTI_1, 540: NIFTI_2}
SINGLE_FILE_MAGIC = {348: b"n+1", 540: b"n+2\x00\r\n\x1a\n"}
DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
"""Datatype code -> numpy type. RGB, complex, 1-bit and 128-bit codes are left out on purpose."""
MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Low three bits of xyzt_units: unknown (taken as mm), metre, millimetre, micrometre."""
MILLIMETRES, SCANNER, COMMENT_EXTENSION = 2, 1, 6


def starts_like(head: bytes) -> bool:
    """Whether the first bytes are gzip's, or those of a header."""
    return head.startswith(GZIP_MAGIC) or _is_length(head[:4])


def _is_length(word: bytes) -> bool:
    """Whether four bytes are a NIfTI header's length, in either byte order."""
    return any(word == size.to_bytes(4, order) for size in LAYOUTS for order in ("little", "big"))


def open_volume(file: BinaryIO, limits: Limits) -> tuple[Header, Stream]:
    """The checked header, and the stream at the first voxel. Raises: VolumeError."""
    is_packed = file.read(2) == GZIP_MAGIC
    file.seek(0)
    stream = open_stream(file, "gzip" if is_packed else "raw")
    return read_header(stream, limits, "nii.gz" if is_packed else "nii"), stream


def read_header(stream: Stream, limits: Limits, form: str) -> Header:
    """Read and check everything before the first voxel, where the stream then stands.

    Raises:
        VolumeError: anything but a sound header of one 3-D volume of a plain number type.
    """
    head = stream.take(4)
    if not _is_length(head):
        raise VolumeError("The file is not a NIfTI volume: its header has a wrong length.")
    size = min(int.from_bytes(head, "little"), int.from_bytes(head, "big"))
    layout = LAYOUTS[size] if head == size.to_bytes(4, "little") else LAYOUTS[size].newbyteorder()
    fields = np.frombuffer(head + stream.take(size - 4), layout)[0]
    if bytes(fields["magic"]) != SINGLE_FILE_MAGIC[size]:
        raise VolumeError("The file is not a single-file NIfTI volume (a header with detached data is not accepted).")
    dtype = _dtype(fields).newbyteorder("<" if layout is LAYOUTS[size] else ">")
    shape = checked_shape(_sides(fields), dtype.itemsize, limits)
    slope, intercept = _scaling(fields)
    offset = _skip_extensions(stream, fields, size, "little" if layout is LAYOUTS[size] else "big")
    return Header(
        format=form, shape=shape, dtype=dtype, affine=_affine(fields), data_offset=offset,
        codec="gzip" if form == "nii.gz" else "raw", slope=slope, intercept=intercept,
    )  # fmt: skip


def _dtype(fields: Any) -> "np.dtype[np.generic]":
    name = DTYPES.get(int(fields["datatype"]))
    if name is None:
        raise VolumeError("The voxel type is not one of the plain integer or real types of 8 to 64 bits.")
    dtype: np.dtype[np.generic] = np.dtype(name)
    if int(fields["bitpix"]) != 8 * dtype.itemsize:
        raise VolumeError("The header's bits per voxel do not fit its voxel type.")
    return dtype


def _sides(fields: Any) -> list[int]:
    """The sides of a volume. Further dimensions are accepted where they are 1 long."""
    sides = [int(side) for side in fields["dim"]]
    count, sides = sides[0], sides[1:]
    if not 1 <= count <= 7:
        raise VolumeError("The header's number of dimensions is out of range.")
    if count > 3 and any(side != 1 for side in sides[3:count]):
        raise VolumeError("The file must hold one three-dimensional volume; it holds a series of several.")
    return sides[: min(count, 3)]


def _scaling(fields: Any) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or NaN stands for none, as in nibabel."""
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or np.isnan(slope):
        return 1.0, 0.0
    if not (abs(slope) <= MAX_SCALE and abs(intercept) <= MAX_SCALE):
        raise VolumeError("The header's intensity scaling is not finite.")
    return slope, intercept


def _skip_extensions(stream: Stream, fields: Any, size: int, order: Any) -> int:
    """Pass over the header extensions, which must fill the room before the voxels, and return where those start."""
    offset = float(fields["vox_offset"])
    if not (np.isfinite(offset) and offset == int(offset) and size + 4 <= offset <= MAX_HEADER_BYTES):
        raise VolumeError(f"The voxels must start right after a header of at most {MAX_HEADER_BYTES} bytes.")
    has_extensions, left = stream.take(4)[0] != 0, int(offset) - size - 4
    if left and not has_extensions:
        raise VolumeError("There is an unexplained gap between the header and the voxels.")
    while left:
        length = int.from_bytes(stream.take(8)[:4], order) if left >= 16 else 0
        if length < 16 or length % 16 or length > left:
            raise VolumeError("A header extension does not end where the voxels start.")
        stream.take(length - 8)
        left -= length
    return int(offset)


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused in the end
def _affine(fields: Any) -> Affine:
    """sform, else qform, else the voxel sizes alone (nifti1.h, methods 3, 2 and 1), in mm."""
    scale = MM_PER_UNIT.get(int(fields["xyzt_units"]) & 7)
    if scale is None:
        raise VolumeError("The header's unit of length is unknown.")
    affine = np.eye(4)
    if int(fields["sform_code"]) > 0:
        affine[:3] = fields["srow"]
    else:
        sizes = np.array(fields["pixdim"][1:4], dtype=np.float64)
        if not (np.isfinite(sizes).all() and (sizes > 0).all()):
            raise VolumeError("A voxel size is not a positive number.")
        if int(fields["qform_code"]) > 0:
            sizes[2] *= -1.0 if float(fields["pixdim"][0]) < 0 else 1.0
            affine[:3, :3] = rotation_of(np.array(fields["quatern"], dtype=np.float64)) * sizes
            affine[:3, 3] = fields["qoffset"]
        else:
            affine[:3, :3] = np.diag(sizes)
    affine[:3] *= scale
    return checked_affine(affine)


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
    _place(fields, volume.affine)
    yield fields.tobytes() + (b"\1\0\0\0" if extension else b"\0\0\0\0") + extension
    yield from voxel_bytes(volume.array)


def _place(fields: Any, affine: Affine) -> None:
    """sform, and qform where it can say the same: a quaternion holds no shear."""
    fields["srow"], fields["sform_code"] = affine[:3], SCANNER
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    handed = -1.0 if np.linalg.det(affine[:3, :3]) < 0 else 1.0
    fields["pixdim"] = (handed, *sizes, 0, 0, 0, 0)
    rotation = affine[:3, :3] / sizes * (1, 1, handed)
    if np.abs(rotation.T @ rotation - np.eye(3)).max() < 1e-5:
        fields["quatern"], fields["qoffset"], fields["qform_code"] = quaternion_of(rotation), affine[:3, 3], SCANNER


def _extension(marking: Marking) -> bytes:
    """The provenance as JSON in a comment extension (code 6), or nothing where there is none."""
    if not marking.provenance:
        return b""
    text = marking.text
    length = -(-(8 + len(text)) // 16) * 16
    return np.array([length, COMMENT_EXTENSION], "<i4").tobytes() + text.encode("ascii").ljust(length - 8, b"\0")
