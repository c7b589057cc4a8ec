"""3D-StyleGAN of the bone paper as it is served. Module keys are the weight file's keys."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model_store.card import ModelCard
from model_store.families.base import expect, without_class
from model_store.families.progressive import ServedProgressive
from model_store.networks.stylegan import MappingNetwork, SynthesisNetwork
from model_store.sizes.progressive import StyleGANSizes

CONSTANT_NOISE_SEED = 0
"""The noise of `noise: constant` is drawn from this seed, not stored: at 256^3 it would be 80 MB of file."""
_NOISE_STREAM = 0x6E6F6973


def noise_source(seed: int | None) -> torch.Generator:
    """Where the maps (1, 1, d, h, w) are drawn from, one after the other; None is the constant noise.

    On the CPU, so that the device does not matter, and not the stream that the seed's z comes from.
    """
    return torch.Generator().manual_seed((CONSTANT_NOISE_SEED if seed is None else seed) ^ _NOISE_STREAM)


class ServedStyleGAN(ServedProgressive):
    """z -> w, one row per style; noise maps are shared by a batch."""

    sizes = StyleGANSizes
    encoder_dense = 2  # section 3.5

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        latent = card.latent
        self.mapping = MappingNetwork(latent.z_dim, latent.w_dim, StyleGANSizes.of(card).mapping_layers)
        self.synthesis = SynthesisNetwork(self.base, self.channels, latent.w_dim)

    @property
    def dtype(self) -> torch.dtype:
        """Of the synthesis; latents and styles stay float32."""
        return self.synthesis.constant.dtype

    def settle(self) -> None:
        super().settle()
        for part in (self.mapping, *(conv.affine for conv in self.synthesis.convolutions())):
            part.float()

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, num_styles, w_dim), the same row for each style."""
        expect(z, (self.card.latent.z_dim,), "latents")
        without_class(label)
        w: Tensor = self.mapping(z.to(self.device, torch.float32))
        return w[:, None].repeat(1, self.card.latent.num_styles, 1)

    def mean_style(self) -> Tensor:
        """(num_styles, w_dim): the mean that training left in the weights."""
        return self.mapping.mean_style.repeat(self.card.latent.num_styles, 1)

    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor:
        """(n, num_styles, w_dim) -> (n, 1, *card.shape) in [0, 1]."""
        expect(w, (self.card.latent.num_styles, self.card.latent.w_dim), "styles")

        def run(w: Tensor) -> Tensor:
            noise = self.synthesis.draw_noise(1, source=noise_source(noise_seed))
            volume: Tensor = self.synthesis(w.to(self.device, torch.float32), noise)
            return volume

        return self.widened(run, w)

    def style_matrices(self) -> Sequence[Tensor]:
        """The affine maps that make the styles (eq. 11): num_styles matrices (channels, w_dim)."""
        return [conv.affine.matrix() for conv in self.synthesis.convolutions()]
