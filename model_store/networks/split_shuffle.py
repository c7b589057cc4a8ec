"""Generator of Split&Shuffle-GAN (Liu et al. 2022, fig. 2), StyleGAN2 in two or three dimensions.

    z -> 8 dense layers -> w -> one affine map per layer -> styles
    constant -> module -> [module with x2, module] x doublings, each resolution's image added to the one below, doubled

Counts of parameters and what the paper leaves open: docs/decisions/0018.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.equalised import GAIN, leaky_relu
from model_store.networks.layers import wide
from model_store.networks.split_shuffle_layers import StyledConv, ToImage, doubled
from model_store.sizes.split_shuffle import MAPPING_LAYERS, Architecture

MAPPING_RATE = 0.01
"""The mapping learns at this part of the generator's rate, as in StyleGAN2."""


class _SlowLinear(nn.Linear):
    """Dense layer whose parameters are stored 1 / MAPPING_RATE as large as they act, so that Adam moves them less."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=1 / MAPPING_RATE)
        nn.init.zeros_(self.bias)
        self.scale = GAIN * MAPPING_RATE / self.in_features**0.5

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * (GAIN * MAPPING_RATE))


class MappingNetwork(nn.Module):
    """f: z of unit mean square -> w, dense layers with LReLU."""

    mean_style: Tensor

    def __init__(self, z_dim: int = 64, w_dim: int = 64, layers: int = MAPPING_LAYERS) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_SlowLinear(z_dim if k == 0 else w_dim, w_dim) for k in range(layers))
        self.register_buffer("mean_style", torch.zeros(w_dim))  # set after training

    def forward(self, z: Tensor) -> Tensor:
        """(n, z_dim) -> (n, w_dim)."""
        z = wide(z)
        w = (z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)).to(self.mean_style.dtype)
        for layer in self.layers:
            w = leaky_relu(layer(w))
        return w


class SynthesisNetwork(nn.Module):
    """Styles and noise -> image. Style k is read by convolution k and, for odd k, by a resolution's image layer."""

    def __init__(self, architecture: Architecture, w_dim: int = 64) -> None:
        super().__init__()
        self.architecture, self.w_dim = architecture, w_dim
        self.constant = nn.Parameter(torch.randn(architecture.channels, *architecture.base))
        self.convolutions = nn.ModuleList(
            StyledConv(architecture, w_dim, doubles=k % 2 == 1) for k in range(2 * architecture.doublings + 1)
        )
        self.to_image = nn.ModuleList(ToImage(architecture, w_dim) for _ in range(architecture.doublings + 1))

    @property
    def num_styles(self) -> int:
        """10 for the paper's networks."""
        return 2 * self.architecture.doublings + 2

    def draw_noise(self, n: int, source: torch.Generator | None = None) -> Iterator[Tensor]:
        """Standard normal maps (n, 1, *d), one per convolution, drawn on the device of `source` or of the weights."""
        device = self.constant.device if source is None else source.device
        for k in range(len(self.convolutions)):
            edges = [edge * 2 ** ((k + 1) // 2) for edge in self.architecture.base]
            yield torch.randn(n, 1, *edges, generator=source, device=device).to(self.constant)

    def forward(self, w: Tensor, noise: Iterator[Tensor] | None = None) -> Tensor:
        """(n, num_styles, w_dim) -> (n, 1, *shape), not bounded; without `noise` no noise is added."""
        if w.shape[1:] != (self.num_styles, self.w_dim):
            raise ValueError(f"expected styles (n, {self.num_styles}, {self.w_dim}), got {tuple(w.shape)}")
        x = self.constant.expand(len(w), *self.constant.shape)
        if self.architecture.dims == 3:
            x = x.contiguous(memory_format=torch.channels_last_3d)
        image: Tensor | None = None
        for k, layer in enumerate(self.convolutions):
            x = layer(x, w[:, k], None if noise is None else next(noise))
            if k % 2 == 0:  # the last layer of a resolution
                part = self.to_image[k // 2](x, w[:, k + 1])
                image = part if image is None else doubled(image) + part
        assert image is not None
        return image


class SplitShuffleGenerator(nn.Module):
    """Mapping and synthesis of one architecture."""

    def __init__(self, architecture: Architecture, z_dim: int = 64, w_dim: int = 64) -> None:
        super().__init__()
        self.mapping = MappingNetwork(z_dim, w_dim)
        self.synthesis = SynthesisNetwork(architecture, w_dim)

    def styles(self, z: Tensor) -> Tensor:
        """(n, z_dim) -> (n, num_styles, w_dim), the same row for each style."""
        w: Tensor = self.mapping(z)
        return w[:, None].repeat(1, self.synthesis.num_styles, 1)
