"""StyleGAN2 in 3D, the network of 3D-StyleGAN (Hong et al., DGM4MICCAI 2021), for inference and inversion.

    z, class -> Mapping -> w;   w, noise -> Synthesis -> volume

Block r = 2..R has the edges base * 2^(r-2). Parameters are stored as they are used: the importer folds every constant
of the authors' run time into them (1/sqrt(fan-in), the learning-rate factor, the +1 of a style, the sqrt 2 behind a
leaky ReLU, the reversal of the upsampling kernels). "FIR" is their resampling filter K, the outer product of five taps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.slabs import in_chunks
from model_store.sizes.stylegan3d import Architecture

_SLOPE = 0.2
_TAPS = 5
_FIR_GAIN = 4.0
"""Factor squared, as the authors have it; three dimensions would need 8, so each upsampling halves the amplitude."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a synthesis network. `widths`: channels of block 2, 3, ..., R."""

    base: tuple[int, int, int]
    widths: tuple[int, ...]
    w_dim: int
    architecture: Architecture = "orig"
    noise: bool = True

    @property
    def num_styles(self) -> int:
        """2R - 2."""
        return 2 * len(self.widths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the volume: base * 2^(R-2)."""
        return self.edges(len(self.widths) - 1)

    def edges(self, doublings: int) -> tuple[int, int, int]:
        """Of the feature maps after so many doublings."""
        a0, a1, a2 = (length << doublings for length in self.base)
        return a0, a1, a2


class Mapping(nn.Module):
    """z, beside the embedded class, normalised, through fully connected layers to one w."""

    def __init__(self, z_dim: int, w_dim: int, width: int, layers: int, num_classes: int = 0) -> None:
        super().__init__()
        self.label = nn.Parameter(torch.zeros(num_classes, z_dim)) if num_classes else None
        sizes = [z_dim * (2 if num_classes else 1), *[width] * (layers - 1), w_dim]
        self.dense = nn.ModuleList(nn.Linear(into, out) for into, out in pairwise(sizes))

    def forward(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, w_dim)."""
        if (label is None) != (self.label is None):
            raise ValueError("a class belongs to a conditional model, and only to it")
        if self.label is not None:
            z = torch.cat([z, self.label[label].to(z).expand(len(z), -1)], dim=1)
        x = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        x = x.to(next(self.parameters()).dtype)
        for layer in self.dense:
            x = F.leaky_relu(layer(x), _SLOPE)
        return x


def filter_cube(taps: Tensor, gain: float = _FIR_GAIN) -> Tensor:
    """The outer product of some taps with themselves, over all three axes, scaled to the sum `gain`."""
    taps = taps.float() / taps.float().sum()
    return gain * taps[:, None, None] * taps[:, None] * taps


def filter_channels(x: Tensor, taps: Tensor, bias: Tensor | None = None) -> Tensor:
    """FIR within each channel, without padding: edges lose four voxels. A true convolution: the taps are reversed."""
    channels = x.shape[1]
    cube = filter_cube(taps.flip(0)).to(x.dtype).expand(channels, 1, -1, -1, -1)
    return F.conv3d(x, cube, bias, groups=channels)


def upsample_image(image: Tensor, taps: Tensor) -> Tensor:
    """Nearest-neighbour x2, zeros 3 before and 1 behind, FIR: (n, 1, d, h, w) -> (n, 1, 2d, 2h, 2w).

    One transposed convolution: doubling is a filter of taps [1, 1], and two filters in a row are one.
    """
    folded = F.pad(taps.float(), (0, 1)) + F.pad(taps.float(), (1, 0))
    # filter_cube normalises, so the gain makes up for the doubled sum of the folded taps.
    cube = filter_cube(folded, 8 * _FIR_GAIN).to(image.dtype)[None, None]
    d, h, w = (2 * length for length in image.shape[2:])
    return F.conv_transpose3d(image, cube, stride=2, padding=1)[..., :d, :h, :w]


def upsample_skip(x: Tensor, taps: Tensor) -> Tensor:
    """Zero insertion, zeros 3 before and 2 behind, FIR: (n, c, d, h, w) -> (n, c, 2d, 2h, 2w)."""
    d, h, w = (2 * length + 4 for length in x.shape[2:])
    wide = x.new_zeros(*x.shape[:2], d, h, w).contiguous(memory_format=torch.channels_last_3d)
    wide[:, :, 3 : d - 2 : 2, 3 : h - 2 : 2, 3 : w - 2 : 2] = x
    return filter_channels(wide, taps)


class StyledConv3d(nn.Module):
    """A modulated 3^3 convolution with noise, bias and leaky ReLU; with `up`, doubled edges.

    A batch shares one weight: activations are scaled by the style before and by the demodulation after the
    convolution. A single sample without gradients scales the weight instead, which is far smaller than its activations.
    """

    noise: Tensor | None

    def __init__(self, into: int, out: int, w_dim: int, up: bool, noise_edges: Sequence[int] | None) -> None:
        super().__init__()
        self.up = up
        self.weight = nn.Parameter(torch.randn(*((into, out) if up else (out, into)), 3, 3, 3) / math.sqrt(27 * into))
        self.style = nn.Linear(w_dim, into)
        self.bias = nn.Parameter(torch.zeros(out))
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise_edges else None
        self.register_buffer("noise", torch.zeros(1, 1, *noise_edges) if noise_edges else None)

    def forward(self, x: Tensor, w: Tensor, taps: Tensor, noise: Tensor | None = None) -> Tensor:
        """(n, into, d, h, w), (n, w_dim) -> (n, out, ...). `noise` (1, 1, ...) replaces the stored one."""
        style, weight = self.style(w).float(), self.weight
        scale = self._demodulation(style)
        if len(x) == 1 and not torch.is_grad_enabled():
            pair = (style.mT, scale) if self.up else (scale.mT, style)
            factors = (pair[0] * pair[1]).to(weight.dtype)
            x = self._convolve(x, weight * factors[..., None, None, None], taps, self.bias)
        else:
            x = self._convolve(x * style.to(x.dtype)[..., None, None, None], weight, taps)
            x = x * scale.to(x.dtype)[..., None, None, None] + self.bias[:, None, None, None]
        if self.noise_strength is None or self.noise is None:
            return F.leaky_relu_(x, _SLOPE)
        scaled = (self.noise if noise is None else noise.to(x)) * self.noise_strength
        if torch.is_grad_enabled():
            return F.leaky_relu_(x.add_(scaled), _SLOPE)
        return in_chunks(x, lambda part, where: F.leaky_relu_(part.add_(scaled[:, :, where].to(part)), _SLOPE))

    def _demodulation(self, style: Tensor) -> Tensor:
        """(n, into) -> (n, out): sqrt 2 over the norm of each output's modulated kernel; sqrt 2 is the activation's."""
        power = self.weight.float().square().sum(dim=(2, 3, 4))  # (into, out) with `up`, else (out, into)
        return math.sqrt(2) * torch.rsqrt(style.square() @ (power if self.up else power.mT) + 1e-8)

    def _convolve(self, x: Tensor, weight: Tensor, taps: Tensor, bias: Tensor | None = None) -> Tensor:
        if not self.up:
            return F.conv3d(x, weight, bias, padding=1)
        # Edges of 2n + 1, zeros 2 before and 1 behind: the convolution's own padding and one voxel dropped.
        x = F.conv_transpose3d(x, weight, stride=2)
        return filter_channels(F.pad(x, (2, 1) * 3), taps, bias)


class ToImage(nn.Module):
    """A modulated 1^3 convolution to one channel ("ToRGB"), without demodulation: a weighted sum of the channels."""

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels) / math.sqrt(channels))
        self.style = nn.Linear(w_dim, channels)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(n, channels, d, h, w), (n, w_dim) -> (n, 1, d, h, w)."""
        factors = self.style(w) * self.weight
        rows = x.movedim(1, -1).flatten(1, 3)
        return torch.baddbmm(self.bias, rows, factors[..., None]).view(len(x), 1, *x.shape[2:])


class Block(nn.Module):
    """Two styled convolutions, the first doubling; with "skip" an image of its own, with "resnet" a shortcut."""

    def __init__(self, plan: Plan, index: int) -> None:
        super().__init__()
        into, out = plan.widths[index - 1 : index + 1]
        edges = plan.edges(index) if plan.noise else None
        self.conv0 = StyledConv3d(into, out, plan.w_dim, up=True, noise_edges=edges)
        self.conv1 = StyledConv3d(out, out, plan.w_dim, up=False, noise_edges=edges)
        is_last = index == len(plan.widths) - 1
        self.image = ToImage(out, plan.w_dim) if is_last or plan.architecture == "skip" else None
        self.skip = nn.Conv3d(into, out, 1, bias=False) if plan.architecture == "resnet" else None

    def forward(self, x: Tensor, w: Tensor, taps: Tensor, noise: Sequence[Tensor | None]) -> Tensor:
        """`w` (n, 2, w_dim), one row for each convolution."""
        y: Tensor = self.conv0(x, w[:, 0], taps, noise[0])
        y = self.conv1(y, w[:, 1], taps, noise[1])
        if self.skip is not None:
            y = (y + upsample_skip(self.skip(x), taps)) * math.sqrt(0.5)
        return y


class Synthesis(nn.Module):
    """Styles and noise to a volume. No output activation: values are nominally in [-1, 1] but not bounded."""

    taps: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.register_buffer("taps", torch.tensor([1.0, 3.0, 3.0, 3.0, 1.0]))
        self.const = nn.Parameter(torch.randn(1, plan.widths[0], *plan.base))
        edges = plan.base if plan.noise else None
        self.conv = StyledConv3d(plan.widths[0], plan.widths[0], plan.w_dim, up=False, noise_edges=edges)
        has_image = plan.architecture == "skip" or len(plan.widths) == 1
        self.image = ToImage(plan.widths[0], plan.w_dim) if has_image else None
        self.blocks = nn.ModuleList(Block(plan, index) for index in range(1, len(plan.widths)))

    def draw_noise(self, seed: int) -> list[Tensor]:
        """Standard normal noise for each convolution in order, float32 on the CPU."""
        random = torch.Generator().manual_seed(seed)
        doublings = [0, *(index for index in range(1, len(self.plan.widths)) for _ in range(2))]
        return [torch.randn(1, 1, *self.plan.edges(count), generator=random) for count in doublings]

    def forward(self, w: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """(n, num_styles, w_dim) -> (n, 1, *shape). `noise`: 2R - 3 fields (1, 1, ...); None takes the stored ones."""
        if w.shape[1:] != (self.plan.num_styles, self.plan.w_dim):
            raise ValueError(f"expected (n, {self.plan.num_styles}, {self.plan.w_dim}), got {tuple(w.shape)}")
        fields: Sequence[Tensor | None] = noise or [None] * (self.plan.num_styles - 1)
        x = self.const.expand(len(w), -1, -1, -1, -1).contiguous(memory_format=torch.channels_last_3d)
        x = self.conv(x, w[:, 0], self.taps, fields[0])
        image: Tensor | None = None if self.image is None else self.image(x, w[:, 1])
        blocks: Sequence[Any] = list(self.blocks)
        for index, block in enumerate(blocks):
            first = 2 * index + 1
            x = block(x, w[:, first : first + 2], self.taps, fields[first : first + 2])
            if block.image is not None:
                own = block.image(x, w[:, first + 2])
                image = own if image is None else own + upsample_image(image, self.taps)
        if image is None:
            raise TypeError("the last block has no image layer")
        return image
