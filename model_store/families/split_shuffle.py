"""Split&Shuffle-GAN as it is served. Module keys are the weight file's keys."""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from model_store.card import ModelCard, Triple
from model_store.families.base import Served, expect
from model_store.families.float16_gradients import widened
from model_store.generator import Task
from model_store.integrity import BrokenModel
from model_store.networks.equalised import EqualisedLinear
from model_store.networks.split_shuffle import MAPPING_LAYERS, MappingNetwork, SynthesisNetwork
from model_store.networks.split_shuffle_critic import SplitShuffleDiscriminator
from model_store.networks.split_shuffle_layers import PlainConv, StyledConv
from model_store.networks.split_shuffle_sizes import Architecture, Variant

CONSTANT_NOISE_SEED = 0
"""The noise of `noise: constant` is drawn from this seed, not stored: it would outweigh the network."""
_NOISE_STREAM = 0x53265348


class _Network(BaseModel):
    """`network` of the card."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    base: Annotated[Triple, Field(strict=False)]
    doublings: Annotated[int, Field(ge=1, le=10)]
    channels: Annotated[int, Field(ge=2, le=8192)]
    variant: Variant = "split-shuffle"
    mapping_layers: Annotated[int, Field(ge=1, le=64)] = MAPPING_LAYERS
    critic: bool = False
    """The discriminator, of the same variant, is in the weights."""


class ServedSplitShuffle(Served):
    """z -> one w for all 2 doublings + 2 styles. Noise maps are drawn from a seed and shared by the batch."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        latent = card.latent
        try:
            sizes = _Network.model_validate(card.network)
            architecture = Architecture(sizes.base, sizes.doublings, sizes.channels, sizes.variant)
        except ValidationError as err:
            where = ".".join(str(part) for part in err.errors()[0]["loc"])
            raise BrokenModel(f"card.json: network.{where} is not that of a Split&Shuffle-GAN") from err
        except ValueError as err:
            raise BrokenModel("card.json: no Split&Shuffle-GAN has these sizes") from err
        if not latent.has_style_space or card.truncation.kind != "psi" or card.has_encoder or card.classes:
            raise BrokenModel("card.json: a Split&Shuffle-GAN has a style space, psi, no encoder and no classes")
        self.mapping = MappingNetwork(latent.z_dim, latent.w_dim, sizes.mapping_layers)
        self.synthesis = SynthesisNetwork(architecture, latent.w_dim)
        self.critic = SplitShuffleDiscriminator(architecture) if sizes.critic else None
        if latent.num_styles != self.synthesis.num_styles or card.shape != architecture.shape:
            raise BrokenModel("card.json: styles or shape are not those of the network's base and doublings")

    def settle(self) -> None:
        for layer in self.modules():
            if isinstance(layer, EqualisedLinear):
                layer.fold()
            elif isinstance(layer, StyledConv):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
            elif isinstance(layer, PlainConv):
                layer.spatial.data = layer.spatial.data.contiguous(memory_format=torch.channels_last_3d)

    def work_bytes(self, task: Task) -> int:
        """Measured on the CPU at 96^3 in tensors of all channels: 4.2 to synthesise, 15.7 with the gradient through the
        discriminator."""
        plane = 4 * self.synthesis.architecture.channels * math.prod(self.card.shape)
        return plane * (18 if task == "refine" else 5)

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, num_styles, w_dim), the same row for each style."""
        expect(z, (self.card.latent.z_dim,), "latents")
        if label is not None:
            raise ValueError("a class belongs to a conditional model, and only to it")
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

    def encode(self, volume: Tensor) -> Tensor:  # noqa: ARG002 -- the paper has no encoder
        raise TypeError("this model has no encoder")

    def critic_features(self, volume: Tensor) -> Sequence[Tensor]:
        """(n, 1, *card.shape) -> what each of the discriminator's residual blocks makes of it, finest first."""
        if self.critic is None:
            return []
        expect(volume, (1, *self.card.shape), "volumes")
        critic = self.critic
        return widened(lambda volume: critic.features(volume.to(self.device, self.dtype)), volume, self.dtype)

    def style_matrices(self) -> Sequence[Tensor]:
        """The affine maps that make the styles: (channels, w_dim) of each convolution and of the last image layer."""
        layers = [*self.synthesis.convolutions, self.synthesis.to_image[-1]]
        return [layer.affine.weight * layer.affine.scale for layer in layers]
