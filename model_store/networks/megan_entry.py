"""The first two convolutions of MEGAN's LR in slabs of planes.

At full width the features of 128^3 edges would be the largest tensor of a whole translation, 0.5 GB and as much again
for the convolution that makes them, and all that is wanted of them is their halving.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLANES = 8
"""Of the features, at a time."""


class Layer(Protocol):
    """A convolution with its normalisation behind it."""

    conv: nn.Conv3d
    norm: nn.InstanceNorm3d

    def settled(self, x: Tensor) -> Tensor:
        """What the layer makes of what its convolution gave."""


def halved_features(enter: Layer, halve: Layer, x: Tensor, planes: int = PLANES) -> Tensor:
    """`halve(enter(x))` of edges (n, 1, d, h, w), d even: (n, c, d/2, h/2, w/2), in inference.

    Each slab is made twice, for the mean and the variance of all of them come first.
    """
    factor, shift = _affine(enter, x, planes)
    depth, halves = x.shape[2], torch.empty(0)
    for first in range(0, depth // 2, planes // 2):
        low, high = 2 * first - 1, 2 * min(first + planes // 2, depth // 2) + 1
        part = _features(enter, x, max(low, 0), min(high, depth))
        part.mul_(factor).add_(shift).relu_()
        if low < 0 or high > depth:
            part = F.pad(part, (0, 0, 0, 0, max(0, -low), max(0, high - depth)))
        made = F.conv3d(part, halve.conv.weight, halve.conv.bias, stride=2, padding=(0, 1, 1))
        if not first:
            shape = (*made.shape[:2], depth // 2, *made.shape[3:])
            halves = torch.empty(shape, dtype=made.dtype, device=made.device, memory_format=torch.channels_last_3d)
        halves[:, :, first : first + made.shape[2]] = made
    return halve.settled(halves)


def _features(enter: Layer, x: Tensor, first: int, last: int) -> Tensor:
    """Planes of what the 3^3 convolution gives."""
    part = x[:, :, max(0, first - 1) : last + 1]
    part = F.pad(part, (0, 0, 0, 0, int(first == 0), int(last == x.shape[2])))
    return F.conv3d(part, enter.conv.weight, enter.conv.bias, padding=(0, 1, 1))


def _affine(enter: Layer, x: Tensor, planes: int) -> tuple[Tensor, Tensor]:
    """Factor and shift (n, c, 1, 1, 1) of the normalisation; slabs' moments joined as by Chan et al. 1979."""
    mean = spread = torch.zeros(1, device=x.device)
    total = 0
    for first in range(0, x.shape[2], planes):
        part = _features(enter, x, first, min(first + planes, x.shape[2])).float()
        count = part[0, 0].numel()
        own = part.mean((2, 3, 4), keepdim=True)
        away = own - mean
        spread = (
            spread + part.sub_(own).square_().sum((2, 3, 4), keepdim=True) + away**2 * (total * count / (total + count))
        )
        mean = mean + away * (count / (total + count))
        total += count
    norm = enter.norm
    factor = norm.weight.float().view(1, -1, 1, 1, 1) * torch.rsqrt(spread / total + norm.eps)
    shift = norm.bias.float().view(1, -1, 1, 1, 1) - mean * factor
    return factor.to(x.dtype), shift.to(x.dtype)
