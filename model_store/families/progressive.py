"""What the two progressive families share as they are served: sizes from the card, encoder and critic."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model_store.card import ModelCard
from model_store.families.base import Served, expect
from model_store.families.float16_gradients import widened
from model_store.generator import Task
from model_store.integrity import BrokenModel
from model_store.networks.critic import Critic
from model_store.networks.equalised import EqualisedConv3d, EqualisedLinear
from model_store.networks.reversed_encoder import ReversedEncoder
from model_store.networks.slabs import InSlabs
from model_store.networks.stages import Shape, stage_shape
from model_store.networks.stylegan import StyledConv3d

_OPTIONS = {"base", "channels", "critic", "critic_channels"}
_SLAB_BYTES = 256 * 2**20
"""Of one activation. Smaller slabs overlap more: at 256^3 half as much costs the CPU 12% and saves 0.2 GB."""


class ServedProgressive(Served):
    """A progressively grown generator at its last stage."""

    options: frozenset[str] = frozenset()
    """Keys of card.network that the family has beyond those of both."""
    encoder_dense = 0
    """Fully connected layers at the bottom of the encoder."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        unknown = sorted(set(card.network) - _OPTIONS - self.options)
        if unknown:
            raise BrokenModel(f"card.json: network.{unknown[0]} is nothing that this family has")
        if card.classes:
            raise BrokenModel("card.json: this family has no classes")
        self.base = _base(card)
        self.channels = _sizes(card.network, "channels")
        if stage_shape(self.base, len(self.channels)) != card.shape:
            raise BrokenModel("card.json: the shape is not the network's base, doubled once per stage")
        w_dim = card.latent.w_dim
        self.encoder = (
            ReversedEncoder(self.base, self.channels, w_dim, self.encoder_dense) if card.has_encoder else None
        )
        has_critic = card.network.get("critic", False)
        if not isinstance(has_critic, bool):
            raise BrokenModel("card.json: network.critic must be true or false")
        self.critic = Critic(_critic_channels(card, self.channels)) if has_critic else None

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

    def work_bytes(self, task: Task) -> int:
        """The largest activations that exist at once, from the sizes of the last two stages."""
        item = torch.finfo(self.dtype).bits // 8
        voxels, channels = math.prod(self.card.shape), [self.channels[0], *self.channels]
        # Slabs overlap by up to eight slices, which is a quarter of few slices.
        slab = min(self._slab_bytes(), channels[-1] * voxels * item) * 5 // 4
        before = channels[-2] * voxels // 8 * item
        if task == "encode":
            return 4 * voxels + 2 * slab + 3 * before
        if task == "refine":  # two activations per convolution of the stages before, and their gradients; a slab's own
            return 8 * before + 8 * slab + 24 * voxels
        noise_and_image = (2 * 4 + 2 * item) * voxels
        return max(3 * before, before + 2 * slab + noise_and_image)

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, *card.shape) -> (n, num_styles, w_dim), the same row for each style."""
        if self.encoder is None:
            raise TypeError("this model has no encoder")
        expect(volume, (1, *self.card.shape), "volumes")
        latent: Tensor = self.encoder(volume.to(self.device, self.dtype)).float()
        return latent[:, None].repeat(1, self.card.latent.num_styles, 1)

    def critic_features(self, volume: Tensor) -> Sequence[Tensor]:
        """(n, 1, *card.shape) -> what each of the critic's strided convolutions makes of it, finest first."""
        if self.critic is None:
            return []
        expect(volume, (1, *self.card.shape), "volumes")
        critic = self.critic
        return widened(lambda volume: critic.features(volume.to(self.device, self.dtype)), volume, self.dtype)


def whole(card: ModelCard, key: str, default: int) -> int:
    """A positive whole number of card.network.

    Raises:
        BrokenModel: it is something else.
    """
    value = card.network.get(key, default)
    if type(value) is not int or value < 1:
        raise BrokenModel(f"card.json: network.{key} must be a positive whole number")
    return value


def _sizes(network: Mapping[str, Any], key: str) -> list[int]:
    value = network.get(key)
    if not (isinstance(value, list | tuple) and value and all(type(n) is int and n > 0 for n in value)):
        raise BrokenModel(f"card.json: network.{key} must be a list of positive whole numbers")
    return list(value)


def _base(card: ModelCard) -> Shape:
    base = _sizes(card.network, "base")
    if len(base) != 3:
        raise BrokenModel("card.json: network.base must have three edges")
    return base[0], base[1], base[2]


def _critic_channels(card: ModelCard, channels: list[int]) -> list[int]:
    found = _sizes({"critic_channels": channels} | card.network, "critic_channels")
    if len(found) != len(channels):
        raise BrokenModel("card.json: network.critic_channels must have one number per stage")
    return found
