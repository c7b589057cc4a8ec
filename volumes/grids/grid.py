"""Where voxels are: orientation, the model's grid over a scan, resampling between grids, and the network's axis order.

Everything is geometric: a voxel's place is its index through its affine, so the way back from the model's grid to the
scan's own is the same resampling with the two grids exchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk  # noqa: N813 -- its users' name for it
from numpy.typing import NDArray
from scipy import ndimage

from volumes.head_finder import foreground_points_mm
from volumes.orientation import from_network, in_ras_order, reorient, to_network, trim_blank, with_orientation
from volumes.volume import Affine, Volume, checked_affine, spacing_of

__all__ = [
    "Grid", "from_network", "grid_of", "in_ras_order", "network_grid", "own_grid", "reorient", "resample", "to_network",
    "trim_blank", "with_orientation",
]  # fmt: skip

VAULT_MM = 100.0
"""The cranial vault: what lies this far below the vertex sets the middle of a head."""
HEADROOM_MM = 4.0
"""Between the vertex and the top of a model's box."""

NEGLIGIBLE_SIGMA = 0.15
"""In voxels: a Gaussian narrower than this gives its neighbours less than a billionth."""

Shape = tuple[int, int, int]
Border = Literal["clamp", "fade"]
Extent = tuple[float | None, float | None, float | None]
"""Millimetres along three axes; None is the whole field of view."""
WHOLE: Extent = (None, None, None)


@dataclass(frozen=True, eq=False)
class Grid:
    """The place of a volume without its voxels: shape (X, Y, Z) and affine (4, 4), voxel -> RAS+ mm."""

    shape: Shape
    affine: Affine

    def __post_init__(self) -> None:
        object.__setattr__(self, "affine", checked_affine(self.affine))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return spacing_of(self.affine)


def grid_of(volume: Volume) -> Grid:
    """The grid that a volume fills."""
    return Grid(volume.shape, volume.affine)


def own_grid(shape: Sequence[int], axes: str, spacing_mm: Sequence[float]) -> Grid:
    """The grid of a volume that comes from no scan: RAS, the card's shape and voxel size, centred on the origin."""
    sides, sizes = in_ras_order(shape, axes), np.array(in_ras_order(spacing_mm, axes))
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = -sizes * (np.array(sides) - 1) / 2
    return Grid(sides, affine)


def network_grid(
    volume: Volume,
    shape: Sequence[int],
    axes: str,
    spacing_mm: Sequence[float],
    placement: Literal["stretch", "head"],
    extent_mm: Extent = WHOLE,
) -> Grid:
    """The model's grid laid over a scan, its array in RAS order. All but the scan is in the network's axis order.

    stretch: the scan's whole field of view, whatever its sides, becomes the model's grid (HA-GAN's preprocessing);
    along an axis with an extent, so much about the field of view's middle, be it less or more than there is.
    head: a box of the card's own millimetres along the world's axes, the top of the head 4 mm under its top face and
    the vault's extent to the sides and front to back in its middle.

    Raises:
        VolumeError: placement "head" on a scan in which no head stands out.
    """
    sides = in_ras_order(shape, axes)
    if placement == "head":
        return _head_grid(volume, sides, np.array(in_ras_order(spacing_mm, axes)))
    turned = reorient(volume)
    wanted = zip(in_ras_order(extent_mm, axes), turned.spacing_mm, turned.shape, strict=True)
    kept = np.array([side if extent is None else extent / step for extent, step, side in wanted])  # in voxels
    ratio = kept / np.array(sides)
    affine = turned.affine.copy()
    affine[:3, :3] *= ratio
    # What is left out, half at each end; the outer faces lie half a voxel before index 0.
    first = (np.array(turned.shape) - kept) / 2
    affine[:3, 3] = turned.affine[:3, 3] + turned.affine[:3, :3] @ (first + ratio / 2 - 0.5)
    return Grid(sides, affine)


def _head_grid(volume: Volume, sides: Shape, sizes: NDArray[np.float64]) -> Grid:
    points = foreground_points_mm(volume)
    extent = sizes * np.array(sides)
    top = points[:, 2].max()
    # Nose, neck and shoulders have no say in where the middle of the head is; single outliers neither.
    vault = points[points[:, 2] > top - VAULT_MM]
    middle = np.quantile(vault[:, :2], (0.005, 0.995), axis=0).mean(axis=0)
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = np.array([*(middle - extent[:2] / 2), top + HEADROOM_MM - extent[2]]) + sizes / 2
    return Grid(sides, affine)


def resample(volume: Volume, grid: Grid, background: float, antialias: bool = True, border: Border = "clamp") -> Volume:
    """The volume's values at a grid's voxels, linearly between its own: float32 (X, Y, Z), C order.

    Where the grid is coarser, a Gaussian of (step - 1) / 2 source voxels goes first, as in skimage's resize.
    Outside the field of view, and where a value is not finite, is `background`. Within half a voxel of the edge,
    "clamp" keeps the edge's value and "fade" goes half way to the background (HA-GAN's preprocessing).
    """
    array = np.array(volume.array, dtype=np.float32, order="K")
    np.nan_to_num(array, copy=False, nan=background, posinf=background, neginf=background)
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    if antialias:
        _smooth(array, np.linalg.norm(to_source[:3, :3], axis=1), background, border)
    if border == "fade":
        array = np.pad(array, 1, constant_values=background)
        to_source[:3, 3] += 1
    return Volume(_interpolate(array, to_source, grid.shape, background), grid.affine)


def _smooth(array: NDArray[np.float32], steps: NDArray[np.float64], background: float, border: Border) -> None:
    """In place: a Gaussian along each axis on which a step of the target is clearly longer than a source voxel."""
    for axis, step in enumerate(steps):
        if (step - 1) / 2 > NEGLIGIBLE_SIGMA:
            mode = "constant" if border == "fade" else "nearest"
            ndimage.gaussian_filter1d(array, (step - 1) / 2, axis=axis, output=array, mode=mode, cval=background)


def use_threads(count: int) -> None:
    """For all resampling of this process from now on; without it ITK takes every core."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)


def _interpolate(array: NDArray[np.float32], to_source: Affine, shape: Shape, background: float) -> NDArray[np.float32]:
    """Linear interpolation at `to_source` @ index for each index of `shape`; ITK's threads, any affine, shear too."""
    reverse = np.eye(3)[::-1]
    matrix, offset = to_source[:3, :3] @ reverse, to_source[:3, 3]  # ITK's first index runs fastest: C order reversed
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        array = array.T  # already in ITK's order: no copy
    else:
        matrix, offset = reverse @ matrix, reverse @ offset
    transform = sitk.AffineTransform(matrix.ravel().tolist(), offset.tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(side) for side in shape[::-1]])
    resampler.SetTransform(transform)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(float(background))
    result: NDArray[np.float32] = sitk.GetArrayFromImage(resampler.Execute(sitk.GetImageFromArray(array)))
    return result
