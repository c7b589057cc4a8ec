"""Volumes on a grid of the user's choice: their field of view, or what stands out in it, in other voxels."""

from collections.abc import Sequence

import numpy as np

from volumes.grids.field_of_view import LEAST_SIDE, sides_by_spacing
from volumes.grids.grid import Grid, Shape, grid_of
from volumes.head_finder import foreground_points_mm
from volumes.volume import Volume, VolumeError

MARGIN_MM = 4.0
"""About the foreground: it is found on a grid thinned to 2 mm, and after smoothing."""


def by_spacing(field: Grid, wanted_mm: Sequence[float]) -> Grid:
    """Voxels of exactly `wanted_mm` along the field's axes, about the same centre: the outer faces move by less than
    half a voxel."""
    x, y, z = (max(side, LEAST_SIDE) for side in sides_by_spacing(field.shape, field.spacing_mm, wanted_mm))
    return _about_the_centre(field, (x, y, z), np.array(wanted_mm))


def by_shape(field: Grid, shape: Shape) -> Grid:
    """The whole field, face to face, in so many voxels."""
    return _about_the_centre(field, shape, np.array(field.spacing_mm) * np.array(field.shape) / np.array(shape))


def _about_the_centre(field: Grid, shape: Shape, sizes_mm: np.ndarray) -> Grid:
    affine = field.affine.copy()
    affine[:3, :3] *= sizes_mm / np.array(field.spacing_mm)
    centre = field.affine[:3, :3] @ ((np.array(field.shape) - 1) / 2) + field.affine[:3, 3]
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def foreground(volume: Volume) -> Volume:
    """The part of a volume that holds its large bright objects, with a margin; a view. All of it where nothing stands
    out."""
    try:
        points = foreground_points_mm(volume)
    except VolumeError:
        return volume
    to_index = np.linalg.inv(volume.affine)
    index = points @ to_index[:3, :3].T + to_index[:3, 3]
    margin = np.ceil(MARGIN_MM / np.array(volume.spacing_mm))
    first = np.maximum(np.floor(index.min(axis=0) - margin), 0).astype(int)
    last = np.minimum(np.ceil(index.max(axis=0) + margin), np.array(volume.shape) - 1).astype(int)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.affine[:3, :3] @ first + volume.affine[:3, 3]
    kept = tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))
    return Volume(volume.array[kept], affine, volume.assumed)


def field_of(volume: Volume, *, is_cropped: bool) -> Grid:
    """The grid of a volume, or of its foreground."""
    return grid_of(foreground(volume)) if is_cropped else grid_of(volume)
