"""A volume made of overlapping patches, of which only the middle counts (MEGAN, section 2.2: "only the network's
receptive field from each patch is used"), with a few planes of sums in memory.

Windows of 32 start every 20 voxels, the last one flush with the end. Inside, the volume is the mean of the middle 20^3
of the patches over a voxel; the outermost 6 voxels, which no middle reaches, are the mean of whole patches.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

PATCH, STRIDE, RIM = 32, 20, 6
Window = tuple[int, int, int]
"""First voxel on A0, A1, A2."""


def starts(side: int) -> list[int]:
    """Of the windows along one axis: 0, 20, 40, ..., the last at side - 32.

    Raises:
        ValueError: a side shorter than a patch.
    """
    if side < PATCH:
        raise ValueError(f"a patch of {PATCH} does not fit into {side} voxels")
    return [*range(0, side - PATCH, STRIDE), side - PATCH]


def windows(shape: tuple[int, int, int]) -> Iterator[Window]:
    """All of them, A0 slowest; the very last one twice, as in the authors' code, so that it counts twice in means."""
    along = [starts(side) for side in shape]
    yield from ((a0, a1, a2) for a0 in along[0] for a1 in along[1] for a2 in along[2])
    yield along[0][-1], along[1][-1], along[2][-1]


def count(shape: tuple[int, int, int]) -> int:
    """How many windows there are: 28 at 64^3, 217 at 128^3, 15 626 at 512^3."""
    a0, a1, a2 = (len(starts(side)) for side in shape)
    return a0 * a1 * a2 + 1


class Stitcher:
    """Takes patches in the order of `windows`, gives planes back as soon as no later patch reaches them."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.first = 0
        """Index of the first plane that is not finished."""
        depth, inside, plane = PATCH, PATCH - 2 * RIM, shape[1:]
        self._whole, self._middle = torch.zeros(depth, *plane), torch.zeros(depth, *plane)
        # How many patches lie over a voxel is a product over the axes, but for the window that comes twice.
        self._wholes = [_cover(starts(side), 0, PATCH, side) for side in shape]
        self._middles = [_cover(starts(side), RIM, inside, side) for side in shape]
        self._last = [side - PATCH for side in shape]

    def add(self, window: Window, patch: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Adds a patch (32, 32, 32) on the CPU; yields (first plane, planes) that were finished before it."""
        if window[0] > self.first:
            yield self._finished(window[0] - self.first)
        _, a1, a2 = window
        self._whole[:, a1 : a1 + PATCH, a2 : a2 + PATCH] += patch
        low, high = RIM, PATCH - RIM
        self._middle[low:high, a1 + low : a1 + high, a2 + low : a2 + high] += patch[low:high, low:high, low:high]

    def rest(self) -> tuple[int, Tensor]:
        """The last planes, once every patch was added."""
        return self._finished(self.shape[0] - self.first)

    def _finished(self, depth: int) -> tuple[int, Tensor]:
        first, last = self.first, self.first + depth
        planes = self._middle[:depth] / self._covered(self._middles, RIM, first, last).clamp_min(1)
        whole = self._whole[:depth] / self._covered(self._wholes, 0, first, last)
        for part in _rims(self.shape, first, last):
            planes[part] = whole[part]
        for sums in (self._whole, self._middle):
            sums[:-depth] = sums[depth:].clone()
            sums[-depth:] = 0
        self.first = last
        return first, planes

    def _covered(self, along: list[Tensor], rim: int, first: int, last: int) -> Tensor:
        """(last - first, A1, A2): patches, or middles of them, over each voxel."""
        total = along[0][first:last, None, None] * along[1][:, None] * along[2]
        a0, a1, a2 = (slice(start + rim, start + PATCH - rim) for start in self._last)
        total[max(0, a0.start - first) : max(0, a0.stop - first), a1, a2] += 1
        return total


def _cover(firsts: list[int], offset: int, length: int, side: int) -> Tensor:
    covered = torch.zeros(side)
    for first in firsts:
        covered[first + offset : first + offset + length] += 1
    return covered


def _rims(shape: tuple[int, int, int], first: int, last: int) -> Iterator[tuple[slice, slice, slice]]:
    """The parts of planes first..last - 1 that lie in the outermost voxels of the volume."""
    everything, head, tail = slice(None), slice(0, RIM), slice(-RIM, None)
    yield from ((everything, end, everything) for end in (head, tail))
    yield from ((everything, everything, end) for end in (head, tail))
    if first < RIM:
        yield slice(0, RIM - first), everything, everything
    if last > shape[0] - RIM:
        yield slice(max(0, shape[0] - RIM - first), last - first), everything, everything
