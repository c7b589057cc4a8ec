"""Volumes from and to files of every format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from volumes import metaimage, nifti, nrrd
from volumes.hashed import HashedFile, Written
from volumes.orientation import reorient
from volumes.reader_limits import Header, Limits, Marking
from volumes.stream import CHUNK_BYTES, Stream
from volumes.upload_check import opened
from volumes.volume import Array, Volume

FileFormat = Literal["nii.gz", "nii", "nrrd", "mha", "npy"]


def read(path: Path, limits: Limits = Limits()) -> Volume:  # noqa: B008 -- frozen
    """Check a file as `volumes.upload_check` does and return its volume, in one pass over the bytes.

    Integers keep their type; reals, and integers with an intensity scaling, become float32.

    Raises:
        VolumeError: whatever is not one sound 3-D volume of a known format.
    """
    with opened(path, limits) as (header, stream):
        array = _take_voxels(header, stream)
    return Volume(array, header.affine)


def write(
    volume: Volume,
    path: Path,
    *,
    format: FileFormat,
    window: tuple[float, float] | None = None,
    provenance: Mapping[str, Any],
    slope: float = 1.0,
) -> Written:
    """Write a volume with the type that its array has: the same bytes for the same input. Size and SHA-256 of the file
    come from the bytes as they are written.

    nii.gz and nii carry the display window and the provenance, nrrd the provenance, mha one line of what it is. npy
    holds the array alone, turned to RAS. `slope` is what one step of the array is worth; nrrd and npy cannot say it.

    Raises:
        ValueError: a type of voxel that the formats do not hold.
    """
    if volume.array.dtype.str[1:] not in nifti.DTYPES.values():
        raise ValueError(f"voxels of type {volume.array.dtype} cannot be written")
    marking = Marking(window, provenance, slope)
    with HashedFile(path) as file:
        match format:
            case "nii.gz" | "nii":
                nifti.write(volume, file, marking, is_packed=format == "nii.gz")
            case "nrrd":
                nrrd.write(volume, file, marking)
            case "mha":
                metaimage.write(volume, file, marking)
            case "npy":
                array = np.ascontiguousarray(reorient(volume).array)
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
                file.write(array.data)
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
