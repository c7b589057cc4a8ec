"""Convolutions of Split&Shuffle-GAN (Liu et al. 2022, fig. 3) in two or three dimensions, and their resampling.

Everything here takes its number of dimensions from the architecture: the 2D network that is trained on slices and the
3D network that takes up its weights are the same classes. "d" in a shape stands for the spatial edges, two or three.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.equalised import GAIN, EqualisedLinear, leaky_relu
from model_store.networks.layers import wide
from model_store.sizes.split_shuffle import GROUPS, Architecture, Variant

_EPSILON = 1e-8
_TAPS = (1.0, 3.0, 3.0, 1.0)
_CONV: dict[int, Callable[..., Tensor]] = {2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {2: F.conv_transpose2d, 3: F.conv_transpose3d}


def shuffled(x: Tensor, variant: Variant) -> Tensor:
    """Channel k of branch b becomes channel 2 k + b; unchanged without shuffle."""
    return torch.channel_shuffle(x, 2) if variant == "split-shuffle" else x


def conv(x: Tensor, weight: Tensor, **how: int) -> Tensor:
    """Convolution in as many dimensions as the weight (out, in, *k) has."""
    return _CONV[weight.ndim - 2](x, weight, None, **how)


def _filter(x: Tensor) -> Tensor:
    """StyleGAN2's low-pass [1, 3, 3, 1] along each axis, one per channel: (c, 1, 4, ...), sum 1."""
    dims, taps = x.ndim - 2, x.new_tensor(_TAPS) / sum(_TAPS)
    kernel = taps
    for _ in range(dims - 1):
        kernel = kernel[..., None] * taps
    return kernel.expand(x.shape[1], 1, *kernel.shape).contiguous()


def low_pass(x: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """(n, c, *d) -> (n, c, *(d + 2 padding - 3)), every `stride`-th voxel of it."""
    return conv(x, _filter(x) * gain, padding=padding, stride=stride, groups=x.shape[1])


def doubled(x: Tensor) -> Tensor:
    """(n, c, *d) -> (n, c, *2d): zeros between the voxels, then the low-pass, with the mean kept."""
    dims = x.ndim - 2
    return _TRANSPOSED[dims](x, _filter(x) * 2**dims, stride=2, padding=1, groups=x.shape[1])


class StyledConv(nn.Module):
    """The generator's module of fig. 3: each branch modulated and demodulated by its half of the style, concatenated,
    shuffled; then noise with one learned scale, a bias and LReLU.

    Not the weights are modulated but the activations: channels are scaled by the style before the convolution and
    demodulated after it, which gives eq. 1 and 2 with one weight for the whole batch, and both branches at once.
    """

    def __init__(self, architecture: Architecture, w_dim: int, doubles: bool = False) -> None:
        super().__init__()
        c, self.architecture, self.doubles = architecture.channels, architecture, doubles
        self.affine = EqualisedLinear(w_dim, c, gain=1, start=1.0)
        self.weight = nn.Parameter(torch.randn(c, c // architecture.branches, *(3,) * architecture.dims))
        self.bias = nn.Parameter(torch.zeros(c))
        self.noise_scale = nn.Parameter(torch.zeros(()))

    def codes(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """w (n, w_dim) -> styles (n, c, 1, ...) and demodulation (n, c, 1, ...) with the gain of LReLU in it."""
        style: Tensor = self.affine(w)
        groups, n = self.architecture.branches, len(w)
        energy = wide(self.weight).square().flatten(2).sum(2)
        energy = energy.view(groups, -1, energy.shape[1])  # (branches, out, in)
        power = wide(style).square().view(n, groups, -1)
        demodulation = GAIN * torch.rsqrt(torch.einsum("ngi,goi->ngo", power, energy) + _EPSILON)
        ones = (1,) * self.architecture.dims
        return style.view(n, -1, *ones), demodulation.to(style.dtype).reshape(n, -1, *ones)

    def transposed(self) -> Tensor:
        """The weight of the transposed convolution that is the convolution of a volume with zeros between its voxels:
        (in, out of one branch, *k), mirrored."""
        c, axes = self.architecture.channels, tuple(range(2, self.weight.ndim))
        branches = self.weight.flip(axes).view(self.architecture.branches, -1, *self.weight.shape[1:])
        return branches.transpose(1, 2).reshape(c, -1, *self.weight.shape[2:])

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """(n, c, *d), (n, w_dim) and noise (n or 1, 1, *d') -> (n, c, *d'), d' = 2 d where the layer doubles."""
        style, demodulation = self.codes(w)
        dims, groups = self.architecture.dims, self.architecture.branches
        x = x * style
        if self.doubles:
            # Zeros between the voxels, the convolution, then the low-pass: the zeros are never made.
            x = _TRANSPOSED[dims](x, self.transposed(), stride=2, groups=groups)
        else:
            x = conv(x, self.weight, padding=1, groups=groups)
        x = shuffled(x * demodulation, self.architecture.variant)
        if self.doubles:
            x = low_pass(x, padding=1, gain=2**dims)
        x = x + (GAIN * self.bias).view(-1, *(1,) * dims)
        return leaky_relu(x if noise is None else x + GAIN * self.noise_scale * noise)


class ToImage(nn.Module):
    """Modulated 1^3 convolution to the one channel of the image, not demodulated."""

    def __init__(self, architecture: Architecture, w_dim: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(w_dim, architecture.channels, gain=1, start=1.0)
        self.weight = nn.Parameter(torch.randn(architecture.channels))
        self.bias = nn.Parameter(torch.zeros(()))
        self.scale = architecture.channels**-0.5

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(n, c, *d), (n, w_dim) -> (n, 1, *d)."""
        # One output channel: a weight of c numbers per sample is cheaper than a pass over the activations.
        row = self.affine(w) * (self.weight * self.scale)
        return torch.einsum("nc...,nc->n...", x, row)[:, None] + self.bias


class PlainConv(nn.Module):
    """The discriminator's module of fig. 3: 3^3 on one half of the channels, 1^3 on the other, concatenated, shuffled;
    one 3^3 convolution for the baseline, in groups for group-d; 3^3 per channel, then 1^3, for depthwise-d. Then a bias
    and LReLU; halves the edges where `halves`. `more`: channels that are taken in beside the architecture's."""

    def __init__(self, architecture: Architecture, halves: bool = False, more: int = 0) -> None:
        super().__init__()
        c, dims, self.architecture, self.halves = architecture.channels, architecture.dims, architecture, halves
        spatial, pointwise = _widths(architecture.variant, c, c + more)
        self.spatial = nn.Parameter(torch.randn(*spatial, *(3,) * dims))
        self.pointwise = nn.Parameter(torch.randn(*pointwise, *(1,) * dims)) if pointwise is not None else None
        self.bias = nn.Parameter(torch.zeros(c))

    def forward(self, x: Tensor, gain: float = GAIN) -> Tensor:
        """(n, c, *d) -> (n, c, *d), or half the edges."""
        if self.architecture.branches == 1:
            x = self._spatial(x)
            x = x if self.pointwise is None else conv(x, equalised(self.pointwise))
        else:
            first, second = x.chunk(2, dim=1)
            x = torch.cat([self._spatial(first), self._pointwise(second)], dim=1)
            x = shuffled(x, self.architecture.variant)
        return leaky_relu(x + self.bias.view(-1, *(1,) * self.architecture.dims)) * gain

    def _spatial(self, x: Tensor) -> Tensor:
        weight, groups = equalised(self.spatial), x.shape[1] // self.spatial.shape[1]
        if self.halves:
            return conv(low_pass(x, padding=2), weight, stride=2, groups=groups)
        return conv(x, weight, padding=1, groups=groups)

    def _pointwise(self, x: Tensor) -> Tensor:
        assert self.pointwise is not None
        return conv(low_pass(x, padding=1, stride=2) if self.halves else x, equalised(self.pointwise))


def _widths(variant: Variant, channels: int, taken: int) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """(out, in) of a module's 3^3 convolution and of its 1^3 one, or None."""
    if variant == "baseline":
        return (channels, taken), None
    if variant == "group-d":
        return (channels, taken // GROUPS), None
    if variant == "depthwise-d":
        return (taken, 1), (channels, taken)
    return (channels // 2, channels // 2), (channels // 2, channels // 2)


def equalised(weight: Tensor) -> Tensor:
    """A weight (out, in, *k) of N(0, 1) as it is used: over the root of its fan-in (equalised learning rate)."""
    return weight / math.sqrt(weight[0].numel())
