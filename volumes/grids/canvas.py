"""Where a translator's image lies over a scan (MEGAN), and the way back: along each axis by itself, so that a volume
need never be resampled as a whole.

All here is in the network's axis order. Positions are voxel indices of the scan, whole or not.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from volumes.volume import Array, VolumeError

PATCH = 32
"""Voxels of a patch: no image at any scale but the lowest may be shorter."""
BEFORE, AFTER = 3, 2
"""Voxels that the authors leave around what is not background."""
Shape = tuple[int, int, int]
Span = tuple[float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Canvas:
    """shape: of the finest image. spans: the scan's indices under its first and last voxel. doublings: HR networks."""

    shape: Shape
    spans: tuple[Span, Span, Span]
    doublings: int

    def positions_back(self, scan_shape: Shape) -> list[NDArray[np.float64]]:
        """Per axis, the image's index under each voxel of the scan; NaN beyond the image's ends."""
        return [_back(*axis) for axis in zip(self.spans, self.shape, scan_shape, strict=True)]


def _back(span: Span, side: int, scan_side: int) -> NDArray[np.float64]:
    first, last = span
    index = (np.arange(scan_side) - first) * (side - 1) / (last - first)
    index[(index < -1e-6) | (index > side - 1 + 1e-6)] = np.nan
    return np.clip(index, 0, side - 1)


def lay_canvas(
    box: Box, spacing_mm: tuple[float, float, float], grid: Literal["scan", "cube"], lr_size: int, doublings: int
) -> Canvas:
    """The canvas over a box of the scan.

    cube: the box, whatever its proportions, is stretched to lr_size * 2^doublings on each side, ends on ends (the
    authors' way). scan: voxels are as long on each axis; the box's longest extent in millimetres gets as many voxels as
    a cube's side would, the others as few as the networks' halvings allow, with the box in their middle. Of the
    doublings only those are made that it takes to reach the box's own number of voxels.

    Raises:
        VolumeError: a side of the box is a single voxel.
    """
    sides = np.array([part.stop - part.start for part in box])
    if sides.min() < 2:
        raise VolumeError("What is not background in the scan is a single slice.")
    first, last = np.array([part.start for part in box]), np.array([part.stop - 1 for part in box])
    if grid == "scan":
        while doublings > 1 and lr_size << (doublings - 1) >= sides.max():
            doublings -= 1
    longest = lr_size << doublings
    if grid == "cube":
        return Canvas((longest,) * 3, _pairs(first, last), doublings)
    spacing = np.array(spacing_mm)
    extent = sides * spacing
    step = extent.max() / longest
    unit = 4 << doublings  # the lowest scale is halved twice, or, with its edges at twice the size, three times
    shape = np.maximum(np.ceil(extent / step / unit - 1e-6).astype(int) * unit, PATCH // 2 << doublings)
    reach = (shape - 1) / 2 * step / spacing
    a0, a1, a2 = (int(side) for side in shape)
    return Canvas((a0, a1, a2), _pairs((first + last) / 2 - reach, (first + last) / 2 + reach), doublings)


def _pairs(first: NDArray[np.float64], last: NDArray[np.float64]) -> tuple[Span, Span, Span]:
    a0, a1, a2 = ((float(low), float(high)) for low, high in zip(first, last, strict=True))
    return a0, a1, a2


def foreground_box(array: Array, low: float) -> Box:
    """The box of voxels above `low`, with the authors' margin, within the array.

    Raises:
        VolumeError: there are none.
    """
    is_above = array > low
    parts = []
    for axis in range(3):
        filled = np.flatnonzero(is_above.any(axis=tuple(other for other in range(3) if other != axis)))
        if not filled.size:
            raise VolumeError("Every voxel of the scan is background.")
        parts.append(slice(max(0, int(filled[0]) - BEFORE), min(array.shape[axis], int(filled[-1]) + 1 + AFTER)))
    return parts[0], parts[1], parts[2]


def whole_box(shape: Shape) -> Box:
    """All of a scan."""
    a0, a1, a2 = (slice(0, side) for side in shape)
    return a0, a1, a2
