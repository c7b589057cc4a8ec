"""What the two progressive families share as they are served: sizes from the card, encoder and critic."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from model_store.card import ModelCard, Task
from model_store.families.base import ServedGenerator, expect
from model_store.loaded_model import Shape
from model_store.networks.critic import Critic
from model_store.networks.equalised import EqualisedConv3d, EqualisedLinear
from model_store.networks.reversed_encoder import ReversedEncoder
from model_store.networks.slabs import InSlabs
from model_store.networks.stylegan import StyledConv3d
from model_store.sizes.progressive import ProgressiveSizes

_SLAB_BYTES = 256 * 2**20
"""Of one activation. Smaller slabs overlap more: at 256^3 half as much costs the CPU 12% and saves 0.2 GB."""


class ServedProgressive(ServedGenerator):
    """A progressively grown generator at its last stage."""

    sizes: ClassVar[type[ProgressiveSizes]]
    encoder_dense = 0
    """Fully connected layers at the bottom of the encoder."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        sizes = self.sizes.of(card)
        self.base, self.channels = sizes.base, sizes.channels
        w_dim = card.latent.w_dim
        self.encoder = (
            ReversedEncoder(self.base, self.channels, w_dim, self.encoder_dense) if card.has_encoder else None
        )
        if sizes.critic:
            self.critic = Critic(sizes.critic_channels or self.channels)

    def settle(self) -> None:
        """Folded weights, and activations at full resolution in slabs."""
        slab_bytes = self._slab_bytes()
        for part in self.modules():
            if isinstance(part, StyledConv3d | EqualisedLinear | EqualisedConv3d):
                part.fold()
            if isinstance(part, InSlabs):
                part.slab_bytes = slab_bytes

    def _slab_bytes(self) -> int:
        return _SLAB_BYTES // 4 if self.low_memory else _SLAB_BYTES

    def work_bytes(self, task: Task, shape: Shape) -> int:
        """The largest activations that exist at once, from the sizes of the last two stages."""
        item = torch.finfo(self.dtype).bits // 8
        voxels, channels = math.prod(shape), [self.channels[0], *self.channels]
        # Slabs overlap by up to eight slices, which is a quarter of few slices.
        slab = min(self._slab_bytes(), channels[-1] * voxels * item) * 5 // 4
        before = channels[-2] * voxels // 8 * item
        if task == "encode":
            return 4 * voxels + 2 * slab + 3 * before
        if task == "refine":  # two activations per convolution of the stages before, and their gradients; a slab's own
            return 8 * before + (8 if self.critic is None else 10) * slab + 24 * voxels
        noise_and_image = (2 * 4 + 2 * item) * voxels
        return max(3 * before, before + 2 * slab + noise_and_image)

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, *card.shape) -> (n, num_styles, w_dim), the same row for each style."""
        if self.encoder is None:
            raise TypeError("this model has no encoder")
        expect(volume, (1, *self.card.shape), "volumes")
        latent: Tensor = self.encoder(volume.to(self.device, self.dtype)).float()
        return latent[:, None].repeat(1, self.card.latent.num_styles, 1)
