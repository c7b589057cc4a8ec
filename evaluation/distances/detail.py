"""Detail: how much of a volume's power lies in structures of 4 to 12.5 mm.

A blur of the right shape scores well on every measure that compares voxels; this one tells it from a scan. Of a cube of
110 mm inside the head, the share of its spectral power between 0.08 and 0.25 cycles/mm in all above 0.01 cycles/mm:
0.08 cycles/mm is a wavelength of 12.5 mm, about two gyri; 0.25 is what a voxel of 2 mm can still show. Of other
anatomies, the largest cube inside the foreground.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumes.grids.grid import HEADROOM_MM

BAND = (0.08, 0.25)
"""Cycles per mm: what counts as detail."""
LOWEST = 0.01
"""Cycles per mm: slower than this is size and shading."""
CUBE_MM = 110.0
BELOW_VERTEX_MM = 75.0
"""Where the cube's centre lies; to the sides and front to back it is the volume's middle, as heads are placed."""
QUANTILE = 0.997
FOREGROUND = 0.1
"""Of the way from the lowest value to the `QUANTILE`: above it is body."""
Spacing = tuple[float, float, float]


def detail_of(unit: NDArray[np.float32], spacing_mm: Spacing) -> float:
    """The share of power in `BAND` in all above `LOWEST`, inside the head.

    Args:
        unit: (A0, A1, A2), A0 down from the head's vertex, which lies `HEADROOM_MM` below the first face; 0 is air.
        spacing_mm: of the three axes.
    """
    return band_share(_cube(unit, spacing_mm), spacing_mm)


def detail_inside(unit: NDArray[np.float32], spacing_mm: Spacing) -> float | None:
    """The same in the largest cube inside the foreground, any axes; None where it is too small to hold a wave of the
    band's lower end."""
    cube = _largest_cube(unit, spacing_mm)
    if cube is None:
        return None
    return band_share(cube / max(float(np.quantile(unit, QUANTILE)), 1e-6), spacing_mm)


def band_share(cube: NDArray[np.float32], spacing_mm: Spacing) -> float:
    """Of the cube without its mean, under a Hann window along each axis: power in `BAND` over power above `LOWEST`."""
    values = cube.astype(np.float64) - cube.mean()
    for axis, count in enumerate(cube.shape):
        shape = [1, 1, 1]
        shape[axis] = count
        values *= (np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 2).reshape(shape)
    power = np.abs(np.fft.fftn(values)) ** 2
    axes = [np.fft.fftfreq(count, step) for count, step in zip(cube.shape, spacing_mm, strict=True)]
    frequency = np.sqrt(sum(f**2 for f in np.meshgrid(*axes, indexing="ij")))
    in_band = (frequency >= BAND[0]) & (frequency <= BAND[1])
    return float(power[in_band].sum() / max(power[frequency > LOWEST].sum(), 1e-30))


def _cube(unit: NDArray[np.float32], spacing_mm: Spacing) -> NDArray[np.float32]:
    """The cube of `CUBE_MM`, brightest 0.3% at 1 as for display: what is left of the volume where it is smaller."""
    top = max(float(np.quantile(unit, QUANTILE)), 1e-6)
    middles = [(BELOW_VERTEX_MM + HEADROOM_MM) / spacing_mm[0], unit.shape[1] / 2, unit.shape[2] / 2]
    slices = []
    for middle, step, count in zip(middles, spacing_mm, unit.shape, strict=True):
        half = CUBE_MM / step / 2
        slices.append(slice(max(round(middle - half), 0), min(round(middle + half), count)))
    return unit[tuple(slices)] / top


def _largest_cube(unit: NDArray[np.float32], spacing_mm: Spacing) -> NDArray[np.float32] | None:
    """The cube of voxels about the point farthest from what is not body; air within the body belongs to it."""
    low, high = float(unit.min()), float(np.quantile(unit, QUANTILE))
    body = unit > low + FOREGROUND * (high - low)
    for axis in range(3):
        for plane in np.moveaxis(body, axis, 0):
            plane |= ndimage.binary_fill_holes(plane)
    depth = ndimage.distance_transform_cdt(np.pad(body, 1), metric="chessboard")
    place = np.unravel_index(int(depth.argmax()), depth.shape)
    reach = int(depth[place]) - 1
    if (2 * reach + 1) * min(spacing_mm) < 1 / BAND[0]:
        return None
    return unit[tuple(slice(int(at) - 1 - reach, int(at) + reach) for at in place)]
