"""Split&Shuffle-GAN as it is served. Module keys are the weight file's keys."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from model_store.card import ModelCard, Task
from model_store.families.base import ServedGenerator, expect, without_class
from model_store.loaded_model import Shape
from model_store.networks.equalised import EqualisedLinear
from model_store.networks.split_shuffle import MappingNetwork, SynthesisNetwork
from model_store.networks.split_shuffle_critic import SplitShuffleDiscriminator
from model_store.networks.split_shuffle_layers import PlainConv, StyledConv
from model_store.sizes.split_shuffle import Architecture, SplitShuffleSizes

CONSTANT_NOISE_SEED = 0
"""The noise of `noise: constant` is drawn from this seed, not stored: it would outweigh the network."""
_NOISE_STREAM = 0x53265348


class ServedSplitShuffle(ServedGenerator):
    """z -> one w for all 2 doublings + 2 styles. Noise maps are drawn from a seed and shared by the batch."""

    sizes = SplitShuffleSizes

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        latent, sizes = card.latent, SplitShuffleSizes.of(card)
        architecture = Architecture(sizes.base, sizes.doublings, sizes.channels, sizes.variant)
        self.mapping = MappingNetwork(latent.z_dim, latent.w_dim, sizes.mapping_layers)
        self.synthesis = SynthesisNetwork(architecture, latent.w_dim)
        if sizes.critic:
            self.critic = SplitShuffleDiscriminator(architecture)

    def settle(self) -> None:
        for layer in self.modules():
            if isinstance(layer, EqualisedLinear):
                layer.fold()
            elif isinstance(layer, StyledConv):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
            elif isinstance(layer, PlainConv):
                layer.spatial.data = layer.spatial.data.contiguous(memory_format=torch.channels_last_3d)

    def work_bytes(self, task: Task, shape: Shape) -> int:
        """Measured on the CPU at 96^3 in tensors of all channels: 4.2 to synthesise, 15.7 with the gradient through the
        discriminator."""
        plane = 4 * self.synthesis.architecture.channels * math.prod(shape)
        return plane * (18 if task == "refine" else 5)

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, num_styles, w_dim), the same row for each style."""
        expect(z, (self.card.latent.z_dim,), "latents")
        without_class(label)
        w: Tensor = self.mapping(z.to(self.device, torch.float32)).float()
        return w[:, None].repeat(1, self.card.latent.num_styles, 1)

    def mean_style(self) -> Tensor:
        """(num_styles, w_dim): the mean over 4096 z that the training left in the weights."""
        return self.mapping.mean_style.float().repeat(self.card.latent.num_styles, 1)

    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor:
        """(n, num_styles, w_dim) -> (n, 1, *card.shape), nominally in [-1, 1]."""
        expect(w, (self.card.latent.num_styles, self.card.latent.w_dim), "styles")
        # The seed also draws z; its stream must not come again as noise.
        seed = CONSTANT_NOISE_SEED if noise_seed is None else noise_seed

        def run(w: Tensor) -> Tensor:
            noise = self.synthesis.draw_noise(1, torch.Generator().manual_seed(seed ^ _NOISE_STREAM))
            volume: Tensor = self.synthesis(w.to(self.device, self.dtype), noise)
            return volume

        return self.widened(run, w)

    def style_matrices(self) -> Sequence[Tensor]:
        """The affine maps that make the styles: (channels, w_dim) of each convolution and of the last image layer."""
        layers = [*self.synthesis.convolutions, self.synthesis.to_image[-1]]
        return [layer.affine.weight * layer.affine.scale for layer in layers]
