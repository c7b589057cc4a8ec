"""Volume: the one convention outside the networks, an array (X, Y, Z) and its affine into RAS+ millimetres."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Voxels of whatever real type the file or the caller has."""
Affine = NDArray[np.float64]

SMALLEST_VOXEL_MM, LARGEST_VOXEL_MM = 1e-5, 1e4
FARTHEST_MM = 1e6
SAME_PLACE_MM = 1e-2
FLATTEST = 1e-3
"""Least volume of the unit-length voxel edges' parallelepiped: below it the directions are all but coplanar."""


class VolumeError(ValueError):
    """A volume that is not accepted. `detail` is one sentence for the user, without any value from the file."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and their place.

    array: (X, Y, Z), any real dtype, any memory order. affine: (4, 4), voxel index -> RAS+ mm. assumed: what the file
    that it was read from leaves open and how it was taken, in sentences.

    Raises:
        VolumeError: not three-dimensional, or an affine that is not finite and invertible.
    """

    array: Array
    affine: Affine
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise VolumeError(f"A volume has three dimensions; this one has {self.array.ndim}.")
        object.__setattr__(self, "affine", checked_affine(self.affine))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(X, Y, Z) in voxels."""
        x, y, z = self.array.shape
        return x, y, z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the array's axes."""
        return spacing_of(self.affine)

    @property
    def axis_codes(self) -> str:
        """Anatomical direction in which each array axis increases, such as "RAS" or "LIA"."""
        return codes_of(self.affine)


class Placed(Protocol):
    """Something with a grid: a volume, or a file's header."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    @property
    def affine(self) -> Affine: ...


def on_one_grid(first: Placed, second: Placed) -> bool:
    """The same shape, and every voxel in the same place but for rounding in a header."""
    corners = np.array([[0, 0, 0, 1], [*(side - 1 for side in first.shape), 1]]).T
    is_near = np.allclose(first.affine @ corners, second.affine @ corners, rtol=0, atol=SAME_PLACE_MM)
    return first.shape == second.shape and bool(is_near) and np.allclose(first.affine, second.affine, atol=1e-3)


def checked_affine(affine: Affine) -> Affine:
    """A read-only float64 copy of an affine (4, 4) that is finite, invertible and of sane size.

    Raises:
        VolumeError: otherwise.
    """
    checked = np.array(affine, dtype=np.float64)
    if checked.shape != (4, 4) or not np.isfinite(checked).all() or (checked[3] != (0, 0, 0, 1)).any():
        raise VolumeError("The affine is not a finite 4x4 matrix with a last row of 0 0 0 1.")
    if np.abs(checked).max() > FARTHEST_MM:
        raise VolumeError("The affine places the volume too far from the origin.")
    edges = np.linalg.norm(checked[:3, :3], axis=0)
    if edges.min() < SMALLEST_VOXEL_MM or edges.max() > LARGEST_VOXEL_MM:
        raise VolumeError("A voxel size is zero or out of range.")
    if abs(np.linalg.det(checked[:3, :3] / edges)) < FLATTEST:
        raise VolumeError("The affine cannot be inverted: the voxel axes lie in one plane.")
    checked.setflags(write=False)
    return checked


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Voxel size in mm along each array axis of an affine (4, 4)."""
    x, y, z = (float(edge) for edge in np.linalg.norm(affine[:3, :3], axis=0))
    return x, y, z


def codes_of(affine: Affine) -> str:
    """The axis codes of an affine (4, 4), by the nearest rotation; nibabel's `aff2axcodes` gives the same."""
    left, _, right = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    rotation = left @ right
    codes = ""
    for axis in range(3):
        world = int(np.argmax(np.abs(rotation[:, axis])))
        codes += ("LR", "PA", "IS")[world][int(rotation[world, axis] > 0)]
        rotation[world, :] = 0  # each world axis is given once
    return codes
