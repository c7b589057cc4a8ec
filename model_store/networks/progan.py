"""3D-ProGAN of the bone paper (Angermann et al. 2023, section 3.2, table A.2).

z -> dense, reshaped -> [x2, convolution, convolution] x N -> 3^3 convolution, sigmoid -> volume

Each convolution but the last has swish and then pixelwise feature normalisation.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model_store.networks.equalised import (
    EqualisedConv3d,
    EqualisedLinear,
    EqualisedToImage,
    EqualisedUpsampleConv3d,
    swish,
)
from model_store.networks.progressive import check_stage, doubled, faded
from model_store.networks.slabs import InSlabs, Layer, in_chunks, upsampled

_EPSILON = 1e-8
"""Zero in float16, as are the squares of small features: the mean of squares is float32 at least."""


def _length(x: Tensor) -> Tensor:
    """(n, c, *d) -> (n, 1, *d): of each voxel's feature vector, float32 at least; x itself is not copied to float32."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=dtype)
    return length


def pixel_norm(x: Tensor) -> Tensor:
    """Each voxel's feature vector at root mean square 1 (ProGAN, section 4.2)."""
    if x.dtype is torch.float32:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + _EPSILON)
    return x * torch.rsqrt(_length(x).square() / x.shape[1] + _EPSILON).to(x.dtype)


def activated(x: Tensor, first: int = 0) -> Tensor:  # noqa: ARG001 -- the same at every slice
    """swish, then pixel_norm; in place where no gradient will ask for x."""
    if torch.is_grad_enabled():
        return pixel_norm(swish(x))

    def norm(part: Tensor, _: slice) -> None:
        square = _length(swish(part)).square_()
        part.mul_(square.div_(x.shape[1]).add_(_EPSILON).rsqrt_())

    return in_chunks(x, norm)


class ProGANStage(nn.Module):
    """x2 and the two convolutions of one stage."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = EqualisedUpsampleConv3d(in_channels, out_channels)
        self.last = EqualisedConv3d(out_channels, out_channels)

    def layers(self) -> list[Layer]:
        return [(self.upsample, activated), (self.last, activated)]


class ProGANGenerator(InSlabs):
    """G: z to the volume at any stage."""

    def __init__(self, base: Sequence[int], channels: Sequence[int], z_dim: int = 512) -> None:
        super().__init__()
        self.start = (channels[0], *base)
        self.z_dim, self.num_stages = z_dim, len(channels)
        self.dense = EqualisedLinear(z_dim, math.prod(self.start), gain=1)
        before = [channels[0], *channels[:-1]]
        self.stages = nn.ModuleList(ProGANStage(*pair) for pair in zip(before, channels, strict=True))
        self.to_image = nn.ModuleList(EqualisedToImage(c) for c in channels)

    def forward(self, z: Tensor, stage: int | None = None, alpha: float = 1.0) -> Tensor:
        """(n, z_dim) -> (n, 1, *stage shape) in [0, 1]."""
        stage = self.num_stages if stage is None else stage
        check_stage(stage, self.num_stages, alpha)
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"expected latents (n, {self.z_dim}), got {tuple(z.shape)}")
        x: Tensor = self.dense(z).view(-1, *self.start).contiguous(memory_format=torch.channels_last_3d)
        old: Tensor | None = None
        layers: list[list[Layer]] = [block.layers() for block in self.stages if isinstance(block, ProGANStage)]
        for block in layers[: stage - 1]:
            x = upsampled(x, block)
        if stage > 1 and alpha < 1:
            old = doubled(torch.sigmoid(self.to_image[stage - 2](x)))
        to_image: Layer = (self.to_image[stage - 1], lambda image, _: torch.sigmoid(image))
        image = upsampled(x, [*layers[stage - 1], to_image], self.slab_bytes)
        return image if old is None else faded(old, image, alpha)
