"""3D-ProGAN of the bone paper as it is served. Module keys are the weight file's keys."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model_store.card import ModelCard
from model_store.families.base import expect, without_class
from model_store.families.progressive import ServedProgressive
from model_store.networks.progan import ProGANGenerator
from model_store.sizes.progressive import ProGANSizes


class ServedProGAN(ServedProgressive):
    """z is its only latent space; w is z as one row."""

    sizes = ProGANSizes

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.generator = ProGANGenerator(self.base, self.channels, card.latent.z_dim)

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, 1, z_dim): identity."""
        expect(z, (self.card.latent.z_dim,), "latents")
        without_class(label)
        return z.to(self.device, torch.float32)[:, None]

    def mean_style(self) -> Tensor:
        """(1, z_dim): the mean of N(0, I)."""
        return torch.zeros(1, self.card.latent.z_dim, device=self.device)

    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor:  # noqa: ARG002 -- ProGAN has no noise
        """(n, 1, z_dim) -> (n, 1, *card.shape) in [0, 1]."""
        expect(w, (1, self.card.latent.z_dim), "styles")
        return self.widened(lambda w: self.generator(w[:, 0].to(self.device, self.dtype)), w)

    def style_matrices(self) -> Sequence[Tensor]:
        """The first linear layer (eq. 11): (8 c times the base's voxels, z_dim)."""
        return [self.generator.dense.matrix()]
