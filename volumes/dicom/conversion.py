"""A DICOM series as one NIfTI file: its voxels and their place, and nothing else that the headers said."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from volumes import assumptions
from volumes.codecs.packing import GZIP_WINDOW, packed
from volumes.dicom.images import Frame, images_of
from volumes.dicom.members import Bounds, Members, numbered, opened_members
from volumes.dicom.pixels import frames_of
from volumes.dicom.series import Series, chosen
from volumes.dicom.stack import Stack, stacked
from volumes.dicom.tilt import straightened
from volumes.reader_limits import Limits, checked_shape
from volumes.volume import Array, Volume, VolumeError

MILLIMETRES, SCANNER = 2, 1
INTEGERS = ("uint8", "int16", "uint16", "int32")


def read_series(source: BinaryIO | Path, bounds: Bounds, number: int | None = None) -> Volume:
    """The volume of a zip archive, a multi-frame file or a folder. `number`: of the series, where there are several.

    Whole numbers stay whole where slope and intercept are; other values become float32.

    Raises:
        VolumeError: whatever is not one sound series of grey slices, evenly behind one another.
    """
    members = opened_members(source, bounds)
    series = chosen(images_of(numbered(members)), number)
    _check_images(series)
    stack = stacked(series.frames)
    first = series.first
    shape = checked_shape([first.columns, first.rows, len(stack.frames)], 1, Limits(max_voxels=bounds.max_voxels))
    array = _voxels(members, stack, shape)
    done = []
    if first.is_inverted:
        array = array.min() + array.max() - array
        done.append(assumptions.INVERTED)
    if stack.shift != (0.0, 0.0):
        done.append(assumptions.STRAIGHTENED)
    array, affine = straightened(array, stack.affine, stack.shift)
    checked_shape([*array.shape], 1, Limits(max_voxels=bounds.max_voxels))
    return Volume(_smallest(array), affine, tuple(done))


def write_nifti(volume: Volume, file: BinaryIO, is_packed: bool) -> None:
    """As NIfTI-1. It is a scan, and does not say that it is synthetic, but what was done to the series."""
    image = nib.Nifti1Image(volume.array, volume.affine, dtype=volume.array.dtype)
    image.set_sform(volume.affine, SCANNER)
    image.set_qform(volume.affine, SCANNER)
    image.header.set_xyzt_units(MILLIMETRES)
    done = [word for word, sentence in assumptions.OF_SERIES.items() if sentence in volume.assumed]
    if done:
        image.header["descrip"] = " ".join((assumptions.SERIES, *done))
    data = image.to_bytes()
    file.writelines(packed([data], GZIP_WINDOW) if is_packed else [data])


def _check_images(series: Series) -> None:
    """Raises: VolumeError."""
    first = series.first
    if not all(image.is_grey for image in series.images):
        raise VolumeError("The images are in colour: a volume has one number in each voxel.")
    if any(image.is_mosaic for image in series.images):
        raise VolumeError("The images are mosaics, many slices tiled on one. Save the series as NIfTI: dcm2niix does.")
    if any((image.rows, image.columns) != (first.rows, first.columns) for image in series.images):
        raise VolumeError("The images of the series have several sizes.")
    if any(image.is_inverted != first.is_inverted for image in series.images):
        raise VolumeError("In some images of the series the least number is white, in others it is black.")


def _voxels(members: Members, stack: Stack, shape: tuple[int, int, int]) -> Array:
    """(X, Y, Z) int32 or float32, in the units of slope and intercept."""
    scales = {(frame.slope, frame.intercept) for frame in stack.frames}
    is_whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in scales)
    if not np.isfinite([*scales]).all():
        raise VolumeError("A rescale slope or intercept of the DICOM images is not finite.")
    array = np.empty(shape, np.int32 if is_whole else np.float32, order="F")
    for place, frame, plane in _planes(members, stack.frames, shape):
        scaled = plane * np.float64(frame.slope) + frame.intercept
        if is_whole and np.abs(scaled).max() >= 2**31:
            raise VolumeError("The values of the DICOM images are too large.")
        array[:, :, place] = scaled.T  # YX -> XY
    return array


def _planes(
    members: Members, frames: tuple[Frame, ...], shape: tuple[int, int, int]
) -> Iterator[tuple[int, Frame, NDArray[np.int32]]]:
    """Each slice with its place, a file decoded once."""
    of_member: dict[int, list[tuple[int, Frame]]] = {}
    for place, frame in enumerate(frames):
        of_member.setdefault(frame.member, []).append((place, frame))
    for member, wanted in of_member.items():
        planes = frames_of(members.read(member))
        if planes.shape != (len(wanted), shape[1], shape[0]):
            raise VolumeError("A DICOM image holds other pixels than its header promises.")
        yield from ((place, frame, planes[frame.index]) for place, frame in wanted)


def _smallest(array: Array) -> Array:
    """Of whole numbers, in the smallest type that holds them."""
    if array.dtype.kind == "f":
        return array
    low, high = int(array.min()), int(array.max())
    fitting = (name for name in INTEGERS if np.iinfo(name).min <= low and high <= np.iinfo(name).max)
    return array.astype(next(fitting))
