"""HA-GAN as it is served. Module keys are the weight file's keys."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model_store.card import ModelCard, Task
from model_store.families.base import ServedGenerator, expect, with_class
from model_store.loaded_model import Shape
from model_store.networks.hagan import NUM_SLABS, HAGANEncoder, HAGANGenerator
from model_store.networks.layers import fold_upsampling
from model_store.networks.streamed import block_slices
from model_store.sizes.hagan import HAGANSizes

_SLABS_AT_ONCE = 2
"""Sub-volumes in a batch; GroupNorm still sees each alone. torch's CPU convolution takes a slow path for a single
narrow one (4 times the time at width 8 and 256^3); more than two gain nothing at any width."""
_LOW_MEMORY_SLAB = 8
"""Slices of A at a time: a sixth of the largest activation at 256^3, for 1.7 times the arithmetic."""


class ServedHAGAN(ServedGenerator):
    """HA-GAN: z is its only latent space. w is (1, z_dim + number of classes): z beside the one-hot class."""

    sizes = HAGANSizes

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        size, z_dim = card.shape[0], card.latent.z_dim
        self.width = HAGANSizes.of(card).width
        self.generator = HAGANGenerator(size, self.width, z_dim, len(card.classes))
        self.encoder = HAGANEncoder(size, self.width, z_dim) if card.has_encoder else None

    def settle(self) -> None:
        del self.generator.low  # G^L serves the training alone
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
        fold_upsampling(self.generator)
        if self.low_memory:
            self.generator.high.slab = _LOW_MEMORY_SLAB

    def work_bytes(self, task: Task, shape: Shape) -> int:
        """The largest activations that exist at once; held against measurements in docs/performance.md."""
        size, width = shape[0], self.width
        item = torch.finfo(self.dtype).bits // 8
        volume, features, half = 4 * size**3, 2 * width * (size // 4) ** 3 * item, width * (size // 2) ** 3 * item
        if task == "refine":  # each activation, its normalised form, and a gradient of either
            return 6 * features + 4 * half + 6 * volume
        if task == "encode":  # two activations of the sub-volumes in hand, or at the end their features put together
            return volume + features + max(2 * half * self._slabs_at_once() // NUM_SLABS, features * 9 // 8)
        if self.low_memory:
            half = half * (2 * _LOW_MEMORY_SLAB + 4) // (size // 2)
        # Of the last convolution: a few slices of its input and the two beside them, its output, and that in order.
        block = (block_slices(width, size // 2) + 2) * (size // 2) ** 2 * (width + 2 * 8) * 4
        # A convolution's own scratch space and the activation before count like features once more each.
        return 3 * features + half + volume + block

    def _slabs_at_once(self) -> int:
        return 1 if self.low_memory else _SLABS_AT_ONCE

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, 1, z_dim + classes): identity, with the class beside it."""
        expect(z, (self.card.latent.z_dim,), "latents")
        return with_class(z.to(self.device, torch.float32), label, len(self.card.classes))[:, None]

    def mean_style(self) -> Tensor:
        """(1, z_dim + classes): the mean of N(0, I)."""
        return torch.zeros(1, self.card.latent.z_dim + len(self.card.classes), device=self.device)

    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor:  # noqa: ARG002 -- HA-GAN has no noise
        """(n, 1, z_dim + classes) -> (n, 1, S, S, S) in [-1, 1]."""
        z_dim, classes = self.card.latent.z_dim, len(self.card.classes)
        expect(w, (1, z_dim + classes), "styles")

        def run(w: Tensor) -> Tensor:
            row = w[:, 0].to(self.device, self.dtype)
            volume: Tensor = self.generator(row[:, :z_dim], row[:, z_dim:] if classes else None)
            return volume

        return self.widened(run, w)

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, S, S, S) -> z as (n, 1, z_dim)."""
        if self.encoder is None:
            raise TypeError("this model has no encoder")
        expect(volume, (1, *self.card.shape), "volumes")
        slabs = volume.to(self.device, self.dtype).chunk(NUM_SLABS, dim=2)
        step = self._slabs_at_once()
        batches = (torch.cat(slabs[first : first + step]) for first in range(0, NUM_SLABS, step))
        parts = [part for batch in batches for part in torch.split(self.encoder.high(batch), len(volume))]
        features = torch.cat(parts, dim=2)
        z: Tensor = self.encoder.ground(features)
        return z.float()[:, None]

    def style_matrices(self) -> Sequence[Tensor]:
        """fc1's weight on the columns that read z: (1024 width, z_dim)."""
        weight: Tensor = self.generator.common.fc1.weight
        return [weight[:, : self.card.latent.z_dim]]
