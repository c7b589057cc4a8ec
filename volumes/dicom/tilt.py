"""A tilted gantry: slices that lie further and further along their own plane, resampled to lie straight."""

import numpy as np
from numpy.typing import NDArray

from volumes.volume import Affine, Array


def straightened(array: Array, affine: Affine, shift: tuple[float, float]) -> tuple[Array, Affine]:
    """Slices (X, Y, Z) moved in-plane by linear interpolation, on a grid that holds all of them, and its affine.

    shift: pixels along X and Y by which each slice lies further than the one before it. affine: that of slices without
    it. What no slice covers gets the least value.
    """
    if shift == (0.0, 0.0):
        return array, affine
    count = array.shape[2]
    starts = [min(0.0, by * (count - 1)) for by in shift]
    sides = [side + int(np.ceil(abs(by) * (count - 1))) for side, by in zip(array.shape[:2], shift, strict=True)]
    background = float(array.min())
    straight = np.full((*sides, count), background, array.dtype, order="F")
    for place in range(count):
        plane = array[:, :, place].astype(np.float64)
        for axis in (0, 1):
            plane = _moved(plane, axis, shift[axis] * place - starts[axis], sides[axis], background)
        straight[:, :, place] = plane if array.dtype.kind == "f" else np.rint(plane)
    placed = affine.copy()
    placed[:3, 3] += affine[:3, :2] @ starts
    return straight, placed


def _moved(plane: NDArray[np.float64], axis: int, by: float, side: int, background: float) -> NDArray[np.float64]:
    """A plane `by` pixels further along an axis that is `side` long then."""
    plane = np.moveaxis(plane, axis, 0)
    whole, part = int(np.floor(by)), by - np.floor(by)
    padded = np.full((side + 2, plane.shape[1]), background)
    padded[1 + whole : 1 + whole + len(plane)] = plane
    moved = (1 - part) * padded[1:-1] + part * padded[:-2]
    return np.moveaxis(moved, 0, axis)
