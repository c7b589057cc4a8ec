"""Linear interpolation along each axis of a volume by itself: a matrix per axis, applied to as few planes as wanted.

Two interpolations one after the other are the product of their matrices. So a volume that was stretched twice is never
made: its planes come straight from the voxels it was stretched from.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Lines = tuple[Tensor, Tensor, Tensor]
"""Per axis (new side, old side) in float64; most of a row is 0."""


def interpolation(positions: Tensor, side: int) -> Tensor:
    """The matrix (n, side) that takes the values at 0, 1, ..., side - 1 to those at n positions.

    Beyond the first and last index the values fade to 0 over one step.
    """
    distance = (positions.double()[:, None] - torch.arange(side, dtype=torch.float64)).abs()
    return (1 - distance).clamp_min(0)


def stretched(old: int, new: int) -> Tensor:
    """(new, old): ends on ends, as torch's trilinear interpolation does with align_corners."""
    if new == 1 or old == 1:
        return interpolation(torch.zeros(new), old)
    steps = torch.arange(new, dtype=torch.float64)
    return interpolation((steps * (old - 1) / (new - 1)).clamp_max(old - 1), old)


def planes(volume: Tensor, lines: Lines, first: int, last: int) -> Tensor:
    """Planes first..last - 1 of a volume (A0, A1, A2) of any real type, interpolated: float32."""
    rows = lines[0][first:last]
    used = rows.any(dim=0).nonzero()
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    x = _along(volume[low:high].float(), rows[:, low:high], 0)
    return _along(_along(x, lines[1], 1), lines[2], 2)


def _along(x: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """One axis interpolated: for each new index the few old ones that its row names."""
    if matrix.shape[0] == matrix.shape[1] and bool((matrix.diagonal() == 1).all()):
        return x
    weights, taps = _taps(matrix)
    shape = [1] * x.ndim
    shape[axis] = -1
    total = x.index_select(axis, taps[0]) * weights[0].to(x.dtype).view(shape)
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        total += x.index_select(axis, tap) * weight.to(x.dtype).view(shape)
    return total


def _taps(matrix: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Weights and indices, each (n,), largest weight first; as many as the fullest row has."""
    count = max(1, int((matrix != 0).sum(dim=1).max()))
    weights, taps = matrix.topk(min(count, matrix.shape[1]), dim=1)
    return weights.unbind(1), taps.unbind(1)
