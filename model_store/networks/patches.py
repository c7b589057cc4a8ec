"""A volume made of overlapping patches, of which only the middle counts (MEGAN, section 2.2: "only the network's
receptive field from each patch is used"), with a few planes of sums in memory.

Windows of 32 start every 20 voxels, the last one flush with the end. Inside, the volume is the mean of the middle 20^3
of the patches over a voxel; the outermost 6 voxels, which no middle reaches, are the mean of whole patches.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

PATCH, STRIDE, RIM = 32, 20, 6
_NOTHING = 1e-6
"""Less than any voxel of a patch counts where patches blend."""
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
    """Takes patches in the order of `windows`, gives planes back as soon as no later patch reaches them.

    blends: patches count less and less towards their ends instead (docs/decisions/0061), as no authors' file does.
    """

    def __init__(self, shape: tuple[int, int, int], blends: bool = False) -> None:
        self.shape, self._blends = shape, blends
        self.first = 0
        """Index of the first plane that is not finished."""
        plane = shape[1:]
        self._whole, self._middle = torch.zeros(PATCH, *plane), torch.zeros(PATCH, *plane)
        self._profiles = torch.ones(PATCH), _slopes() if blends else _middle()
        # How much of patches lies over a voxel is a product over the axes, but for the window that comes twice.
        self._along = [[_cover(starts(side), profile, side) for side in shape] for profile in self._profiles]
        self._last = [side - PATCH for side in shape]

    def add(self, window: Window, patch: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Adds a patch (32, 32, 32) on the CPU; yields (first plane, planes) that were finished before it."""
        if window[0] > self.first:
            yield self._finished(window[0] - self.first)
        place = slice(None), *(slice(first, first + PATCH) for first in window[1:])
        self._whole[place] += patch
        self._middle[place] += patch * _cube(self._profiles[1])

    def rest(self) -> tuple[int, Tensor]:
        """The last planes, once every patch was added."""
        return self._finished(self.shape[0] - self.first)

    def _finished(self, depth: int) -> tuple[int, Tensor]:
        first, last = self.first, self.first + depth
        planes = self._middle[:depth] / self._covered(1, first, last).clamp_min(_NOTHING)
        whole = self._whole[:depth] / self._covered(0, first, last)
        for part in () if self._blends else _rims(self.shape, first, last):
            planes[part] = whole[part]
        for sums in (self._whole, self._middle):
            sums[:-depth] = sums[depth:].clone()
            sums[-depth:] = 0
        self.first = last
        return first, planes

    def _covered(self, which: int, first: int, last: int) -> Tensor:
        """(last - first, A1, A2): how much of patches, or of their middles, lies over each voxel."""
        along, profile = self._along[which], self._profiles[which]
        total = along[0][first:last, None, None] * along[1][:, None] * along[2]
        start = self._last[0]
        low, high = max(first, start), min(last, start + PATCH)
        if low < high:
            a1, a2 = (slice(begin, begin + PATCH) for begin in self._last[1:])
            total[low - first : high - first, a1, a2] += _cube(profile)[low - start : high - start]
        return total


def _middle() -> Tensor:
    """Along one axis of a patch, how much its voxels count: the middle alone."""
    profile = torch.zeros(PATCH)
    profile[RIM : PATCH - RIM] = 1
    return profile


def _slopes() -> Tensor:
    """The same where patches blend: 1 where no other patch lies, towards the ends in a straight line to nothing."""
    rising = (torch.arange(PATCH) + 0.5) / (PATCH - STRIDE)
    return torch.minimum(rising, rising.flip(0)).clamp_max(1)


def _cube(profile: Tensor) -> Tensor:
    """(32, 32, 32): the product over the axes."""
    return profile[:, None, None] * profile[:, None] * profile


def _cover(firsts: list[int], profile: Tensor, side: int) -> Tensor:
    covered = torch.zeros(side)
    for first in firsts:
        covered[first : first + PATCH] += profile
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
