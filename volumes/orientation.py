"""Which way the axes of an array run: turning them, crossing to a network's order, cutting blank slices. All views."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from volumes.volume import Array, Volume, VolumeError

T = TypeVar("T")

RAS = "RAS"
AXIS_OF = {letter: axis for axis, pair in enumerate(("RL", "AP", "SI")) for letter in pair}


def _turn(have: str, want: str) -> tuple[list[int], list[bool]]:
    """For each wanted axis: which of the axes at hand it is, and whether it runs the other way."""
    order = [next(i for i, code in enumerate(have) if AXIS_OF[code] == AXIS_OF[wanted]) for wanted in want]
    if sorted(order) != [0, 1, 2]:
        raise ValueError(f"axis codes must name each direction once, got {have} and {want}")
    return order, [have[axis] != wanted for axis, wanted in zip(order, want, strict=True)]


def _turn_array(array: Array, have: str, want: str) -> Array:
    """A view of an array (three axes in the directions `have`) with its axes in the directions `want`."""
    order, flips = _turn(have, want)
    return array.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def reorient(volume: Volume, codes: str = RAS) -> Volume:
    """The same voxels at the same places, the array's axes turned to `codes`: flips and permutations, no copy."""
    have = volume.axis_codes
    order, flips = _turn(have, codes)
    back = np.zeros((4, 4))  # index in the turned array -> index in the given one
    back[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        back[old, new] = -1 if flip else 1
        back[old, 3] = volume.shape[old] - 1 if flip else 0
    return Volume(_turn_array(volume.array, have, codes), volume.affine @ back)


def with_orientation(volume: Volume, codes: str) -> Volume:
    """The volume with its array axes declared to run along `codes`, for a file whose own directions are wrong.

    Voxel sizes and the centre of the field of view stay; rotation is dropped.
    """
    _turn(codes, RAS)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (code, size) in enumerate(zip(codes, volume.spacing_mm, strict=True)):
        affine[AXIS_OF[code], axis] = size if code in RAS else -size
    middle = (np.array(volume.shape) - 1) / 2
    affine[:3, 3] = volume.affine[:3, :3] @ middle + volume.affine[:3, 3] - affine[:3, :3] @ middle
    return Volume(volume.array, affine)


def to_network(array: Array, axes: str) -> Array:
    """RAS-ordered array (X, Y, Z) -> the network's (A0, A1, A2), contiguous. `axes` are the card's axis codes."""
    return np.ascontiguousarray(_turn_array(array, RAS, axes))  # XYZ -> A0 A1 A2


def from_network(array: Array, axes: str) -> Array:
    """The network's array (A0, A1, A2) -> RAS-ordered (X, Y, Z), a view: the exact inverse of `to_network`."""
    return _turn_array(array, axes, RAS)  # A0 A1 A2 -> XYZ


def in_ras_order(values: Sequence[T], axes: str) -> tuple[T, T, T]:
    """One value per network axis (a side, a voxel size) -> one per X, Y, Z."""
    x, y, z = (values[axis] for axis in _turn(axes, RAS)[0])
    return x, y, z


def in_network_order(values: Sequence[T], axes: str) -> tuple[T, T, T]:
    """One value per X, Y, Z -> one per network axis: the way back."""
    a0, a1, a2 = (values[axis] for axis in _turn(RAS, axes)[0])
    return a0, a1, a2


def trim_blank(volume: Volume, threshold: float) -> Volume:
    """Leave out the axial slices at both ends that have no value above `threshold`. A view; the affine follows.

    Raises:
        VolumeError: every slice is blank.
    """
    axis = next(i for i, code in enumerate(volume.axis_codes) if code in "SI")
    others = tuple(i for i in range(3) if i != axis)
    filled = np.flatnonzero((volume.array > threshold).any(axis=others))
    if not filled.size:
        raise VolumeError("Every slice of the scan is blank.")
    first, last = int(filled[0]), int(filled[-1])
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * first
    return Volume(np.moveaxis(np.moveaxis(volume.array, axis, 0)[first : last + 1], 0, axis), affine)
