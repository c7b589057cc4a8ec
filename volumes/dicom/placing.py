"""Where the images of a written series lie: axial slices, columns toward the left and rows toward the back."""

from dataclasses import dataclass

import numpy as np

from volumes.orientation import reorient
from volumes.reader_limits import LPS_TO_RAS
from volumes.volume import Affine, Array, Placed, Volume, VolumeError, spacing_of

MOST_DRIFT = 0.1
"""Voxels."""
SHEARED = (
    "The volume's axes are not at right angles, as those of a DICOM series are. Choose another format, such as nii.gz, "
    "or the grid of another volume."
)


@dataclass(frozen=True, eq=False)
class Placing:
    """Slices (X, Y, Z) of a volume turned to LPS, a view, and their place in LPS+ mm."""

    array: Array
    directions: Affine
    """(3, 3): of columns' numbers, rows' numbers and slices, unit vectors in its columns, at right angles."""
    spacing_mm: tuple[float, float, float]
    """Between columns, rows and slices."""
    first: Affine
    """(3,): the middle of the first slice's first pixel."""

    def position(self, place: int) -> Affine:
        """(3,): the middle of a slice's first pixel."""
        position: Affine = self.first + place * self.spacing_mm[2] * self.directions[:, 2]
        return position


def placed(volume: Volume) -> Placing:
    """The volume as a series has it. Raises: VolumeError, of a sheared one."""
    if is_sheared(volume):
        raise VolumeError(SHEARED)
    turned = reorient(volume, "LPS")
    lps = LPS_TO_RAS @ turned.affine
    directions, reach = _at_right_angles(lps), (np.array(turned.shape) - 1) / 2
    middle = lps[:3, :3] @ reach + lps[:3, 3]
    return Placing(turned.array, directions, turned.spacing_mm, middle - directions @ (reach * turned.spacing_mm))


def is_sheared(placed: Placed) -> bool:
    """Whether directions at right angles, which are all that DICOM has, would move a corner by more than a tenth of a
    voxel."""
    sizes = np.array(spacing_of(placed.affine))
    off = np.abs(placed.affine[:3, :3] - _at_right_angles(placed.affine) * sizes) @ (np.array(placed.shape) - 1) / 2
    return bool(np.linalg.norm(off) > MOST_DRIFT * sizes.min())


def _at_right_angles(affine: Affine) -> Affine:
    """(3, 3): the directions at right angles that are nearest to those of an affine's axes."""
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing_of(affine))
    nearest: Affine = left @ right
    return nearest
