"""The encoder of both progressive families: the generator of table A.2 reversed (bone paper, section 3.5)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model_store.networks.equalised import (
    EqualisedConv3d,
    EqualisedDownsampleConv3d,
    EqualisedFromImage,
    EqualisedLinear,
    leaky_relu,
    swish,
)
from model_store.networks.slabs import InSlabs, Layer, downsampled, in_chunks
from model_store.sizes.progressive import stage_shape


class ReversedEncoder(InSlabs):
    """E: volume -> latent, without pixel normalisation. For w of a StyleGAN `dense` leaky layers follow."""

    def __init__(self, base: Sequence[int], channels: Sequence[int], latent_dim: int, dense: int = 0) -> None:
        super().__init__()
        self.shape = stage_shape(base, len(channels))
        after = [channels[0], *channels]
        self.from_image = EqualisedFromImage(channels[-1])
        self.same = nn.ModuleList(EqualisedConv3d(c, c) for c in channels)
        self.down = nn.ModuleList(EqualisedDownsampleConv3d(after[s + 1], after[s]) for s in range(len(channels)))
        self.latent = EqualisedLinear(channels[0] * math.prod(base), latent_dim, gain=1)
        self.dense = nn.ModuleList(EqualisedLinear(latent_dim, latent_dim) for _ in range(dense))

    def features(self, volume: Tensor) -> Tensor:
        """(n, 1, *shape) -> (n, channels[0] * the base's voxels): what the dense layers read."""
        if volume.shape[1:] != (1, *self.shape):
            raise ValueError(f"expected (n, 1, {', '.join(map(str, self.shape))}), got {tuple(volume.shape)}")

        def layer(convolve: nn.Module) -> Layer:
            return convolve, lambda x, _: activated(x)

        finest, *rest = [[layer(same), layer(down)] for same, down in zip(self.same, self.down, strict=True)][::-1]
        x = downsampled(volume, [layer(self.from_image), *finest], self.from_image.out_channels, self.slab_bytes)
        for pair in rest:
            x = downsampled(x, pair, x.shape[1])
        return x.flatten(1)

    def forward(self, volume: Tensor) -> Tensor:
        """(n, 1, *shape) -> (n, latent_dim)."""
        latent: Tensor = self.latent(self.features(volume))
        for layer in self.dense:
            latent = leaky_relu(layer(latent))
        return latent


def activated(x: Tensor) -> Tensor:
    """swish, in place where no gradient will ask for x."""
    if torch.is_grad_enabled():
        return swish(x)
    return in_chunks(x, lambda part, _: swish(part))
