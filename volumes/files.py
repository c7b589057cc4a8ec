"""Volumes from and to files of every format."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from volumes.codecs import metaimage, nifti, npy, nrrd
from volumes.dicom import series_out
from volumes.formats import BY_NAME, FileFormat
from volumes.hashed import HashedFile, Written
from volumes.reader_limits import Header, Limits, Marking
from volumes.stream import CHUNK_BYTES, Stream
from volumes.upload_check import opened
from volumes.volume import Array, Volume

WRITERS: dict[str, Callable[[Volume, BinaryIO, Marking], None]] = {
    "nifti, compressed": nifti.write_packed,
    "nifti": nifti.write,
    "nrrd": nrrd.write,
    "metaimage": metaimage.write,
    "npy": npy.write,
    "dicom": series_out.write,
}
"""By the name that the table of formats gives."""


def read(path: Path, limits: Limits = Limits()) -> Volume:  # noqa: B008 -- frozen
    """Check a file as `volumes.upload_check` does and return its volume, in one pass over the bytes.

    Integers keep their type; reals, and integers with an intensity scaling, become float32.

    Raises:
        VolumeError: whatever is not one sound 3-D volume of a known format.
    """
    with opened(path, limits) as (header, stream):
        array = _take_voxels(header, stream)
    return Volume(array, header.affine, header.assumed)


def write(
    volume: Volume,
    path: Path,
    *,
    format: FileFormat,
    window: tuple[float, float] | None = None,
    provenance: Mapping[str, Any],
    slope: float = 1.0,
    modality: str = "",
    units: str = "",
) -> Written:
    """Write a volume with the type that its array has: the same bytes for the same input. Size and SHA-256 of the file
    come from the bytes as they are written.

    nii.gz, nii and dicom carry the display window and the provenance, nrrd the provenance, mha one line of what it is.
    npy holds the array alone, turned to RAS. `slope` is what one step of the array is worth; nrrd and npy cannot say
    it. `modality` and `units`, of the values, are for dicom.

    Raises:
        ValueError: a format that is not written, or a type of voxel that it does not hold.
        VolumeError: dicom, of a volume whose axes are not at right angles.
    """
    row = BY_NAME.get(format)
    if row is None or row.writer is None:
        raise ValueError(f"volumes are not written as {format}")
    if volume.array.dtype.name not in row.dtypes:
        raise ValueError(f"voxels of type {volume.array.dtype} cannot be written as {format}")
    with HashedFile(path) as file:
        WRITERS[row.writer](volume, file, Marking(window, provenance, slope, modality, units))
    return file.written


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
