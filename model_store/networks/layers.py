"""Layers shared by the generator families."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.streamed import norm_relu_

_FOLDED_AT_ONCE = 64
"""Input channels."""
_FEWEST_FOLDED = 2048
"""Input voxels of a batch from which on folding a weight anew costs less than the arithmetic that it saves."""


def fold_nearest_upsampling(weight: Tensor) -> Tensor:
    """A 3^3 convolution after nearest-neighbour x2, as one transposed convolution with stride 2 and padding 1.

    Voxel i of the input becomes voxels 2i and 2i + 1, so along each axis the 4 taps are the reversed 3 taps convolved
    with [1, 1]. 8 taps instead of 27 per output voxel, and the upsampled tensor never exists. Differentiable.

    Args:
        weight: (out, in, 3, 3, 3).

    Returns:
        (in, out, 4, 4, 4), for `conv_transpose3d(x, folded, bias, stride=2, padding=1)`.
    """
    if weight.shape[2:] != (3, 3, 3):
        raise ValueError(f"expected a (out, in, 3, 3, 3) weight, got {tuple(weight.shape)}")
    if weight.is_meta:  # only a shape is asked for, and torch would load its compiler for it: a second and 75 MB
        return weight.new_empty((weight.shape[1], weight.shape[0], 4, 4, 4))
    folded = weight.flip((2, 3, 4)).transpose(0, 1)
    for axis in (2, 3, 4):
        pad = [0, 0] * (4 - axis)
        folded = F.pad(folded, [*pad, 0, 1]) + F.pad(folded, [*pad, 1, 0])
    return folded


def wide(x: Tensor) -> Tensor:
    """At least float32: sums of squares, and what keeps them from zero, leave float16's range."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class UpsampleConv3d(nn.Conv3d):
    """Nearest-neighbour x2 followed by a 3^3 convolution, computed as one transposed convolution.

    The stored parameter stays the 3^3 weight. While gradients are wanted it is folded in each forward, where there are
    voxels enough to make up for it; `fold` does it once for inference.
    """

    folded: Tensor | None

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.register_buffer("folded", None, persistent=False)

    def fold(self) -> None:
        """Keep the folded weight, in the layout the convolution likes; the 3^3 weight is emptied."""
        out_channels, in_channels = self.weight.shape[:2]
        shape, order = (in_channels, out_channels, 4, 4, 4), torch.channels_last_3d
        self.folded = torch.empty(shape, dtype=self.weight.dtype, device=self.weight.device, memory_format=order)
        for first in range(0, in_channels, _FOLDED_AT_ONCE):  # the steps between take several times as much memory
            part = slice(first, first + _FOLDED_AT_ONCE)
            self.folded[part] = fold_nearest_upsampling(self.weight.detach()[:, part])
        self.weight = nn.Parameter(self.weight.new_empty(0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, d, h, w) -> (n, out, 2d, 2h, 2w)."""
        if self.folded is None and x.numel() < _FEWEST_FOLDED * x.shape[1]:
            return F.conv3d(F.interpolate(x, scale_factor=2), self.weight, self.bias, padding=1)
        weight = fold_nearest_upsampling(self.weight) if self.folded is None else self.folded
        return F.conv_transpose3d(x, weight, self.bias, stride=2, padding=1)


class NormReLU(nn.GroupNorm):
    """GroupNorm with 8 groups (fewer where the channels do not divide), then ReLU in place. Where no gradients are
    wanted the input itself is overwritten: it is a convolution's output, which nothing else reads. (torch's GroupNorm
    holds a copy on CUDA, and one more where the order is channels-last.)"""

    def __init__(self, channels: int) -> None:
        super().__init__(math.gcd(8, channels), channels)

    def forward(self, x: Tensor) -> Tensor:
        in_order = x.ndim == 5 and x.is_contiguous(memory_format=torch.channels_last_3d)
        if in_order and not torch.is_grad_enabled():
            return norm_relu_(x, self)
        return F.relu_(super().forward(x))


def fold_upsampling(module: nn.Module) -> None:
    """Fold every upsampling convolution inside `module` for inference."""
    for layer in module.modules():
        if isinstance(layer, UpsampleConv3d):
            layer.fold()
