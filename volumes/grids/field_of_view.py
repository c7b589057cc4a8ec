"""A volume's field of view in other voxels, by numbers alone: no voxels, and no library."""

import math
from collections.abc import Sequence

LEAST_SIDE = 4
"""Of a volume that is resampled: with fewer voxels there is nothing to see, or to interpolate between."""
MAX_SIDE = 1024
"""As of a file that is read."""
LEAST_MM, MOST_MM = 0.001, 1000.0
"""Of a voxel that is asked for."""
_FARTHEST_MM, _FLATTEST = 1e6, 1e-3
_WORLD = ("RL", "AP", "SI")

Shape = tuple[int, int, int]
Rows = Sequence[Sequence[float]]
"""An affine (4, 4), voxel index to RAS+ mm."""


def sides_by_spacing(shape: Sequence[int], spacing_mm: Sequence[float], wanted_mm: Sequence[float]) -> Shape:
    """Voxels of `wanted_mm` (x, y, z) that come nearest to filling what `shape` voxels of `spacing_mm` do."""
    x, y, z = (round(side * own / wanted) for side, own, wanted in zip(shape, spacing_mm, wanted_mm, strict=True))
    return x, y, z


def places_in_world(axes: str) -> tuple[int, int, int]:
    """For X, Y and Z which of the axes with these codes it is."""
    x, y, z = (next(place for place, code in enumerate(axes) if code in pair) for pair in _WORLD)
    return x, y, z


def voxel_size_mm(affine: Rows) -> tuple[float, float, float]:
    """Along each axis of an array with that affine."""
    x, y, z = (math.hypot(*(float(row[axis]) for row in affine[:3])) for axis in range(3))
    return x, y, z


def is_sound(affine: Rows) -> bool:
    """Whether `volumes.volume.checked_affine` takes it, of voxels that may be asked for."""
    sizes = voxel_size_mm(affine)
    if list(affine[3]) != [0, 0, 0, 1] or max(abs(value) for row in affine for value in row) > _FARTHEST_MM:
        return False
    if not (min(sizes) >= LEAST_MM and max(sizes) <= MOST_MM):
        return False
    (a, b, c), (d, e, f), (g, h, i) = ([row[k] / sizes[k] for k in range(3)] for row in affine[:3])
    return abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) >= _FLATTEST
