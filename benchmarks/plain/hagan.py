"""HA-GAN as the paper's tables draw it, written plainly: the way that ours is compared with.

Every upsampled tensor is made and then convolved with 3^3 taps, memory is contiguous, nothing happens in place, and the
encoder takes the eight sub-volumes one after the other. Weights by the keys of a model folder's file.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from model_store.card import ModelCard

SLABS = 8


class PlainHAGAN:
    """The generator (tables I and III) and, where the weights have one, the encoder (tables IV and V)."""

    def __init__(self, weights: Mapping[str, Tensor], size: int) -> None:
        self.weights, self.size = weights, size

    @classmethod
    def read(cls, folder: Path, card: ModelCard, device: torch.device) -> Self:
        """The weights of a model folder, float32."""
        stored = load_file(folder / "weights.safetensors")
        return cls({key: value.to(device, torch.float32) for key, value in stored.items()}, card.shape[0])

    def synthesise(self, z: Tensor) -> Tensor:
        """(n, L) -> (n, 1, S, S, S) in [-1, 1]."""
        x = F.linear(z.to(self._of("generator.common.fc1.weight")), *self._pair("generator.common.fc1"))
        x = x.view(len(z), -1, 4, 4, 4)
        for index in range(1, 6):
            if index > 1 and x.shape[2] < self.size // 4:
                x = F.interpolate(x, scale_factor=2)
            x = self._normed(f"generator.common.norm{index}", self._conv(f"generator.common.conv{index}", x))
        x = F.interpolate(x, scale_factor=2)
        x = self._normed("generator.high.norm1", self._conv("generator.high.conv1", x))
        x = F.interpolate(x, scale_factor=2)
        return torch.tanh(self._conv("generator.high.conv2", x))

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, S, S, S) -> z as (n, 1, L)."""
        depth = self.size // SLABS
        volume = volume.to(self._of("encoder.high.conv1.weight"))
        slabs = [self._slab(volume[:, :, k * depth : (k + 1) * depth]) for k in range(SLABS)]
        x = torch.cat(slabs, dim=2)
        for index in range(1, 5):
            if f"encoder.ground.conv{index}.weight" in self.weights:
                x = self._conv(f"encoder.ground.conv{index}", x, stride=2)
                x = self._normed(f"encoder.ground.norm{index}", x)
        return F.conv3d(x, *self._pair("encoder.ground.conv5")).view(len(volume), 1, -1)

    def _slab(self, x: Tensor) -> Tensor:
        """(n, 1, S/8, S, S) -> (n, C, S/32, S/4, S/4)."""
        for index, stride in ((1, 2), (2, 1), (3, 2)):
            x = self._normed(f"encoder.high.norm{index}", self._conv(f"encoder.high.conv{index}", x, stride))
        return x

    def _conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        return F.conv3d(x, *self._pair(name), stride=stride, padding=1)

    def _normed(self, name: str, x: Tensor) -> Tensor:
        """GroupNorm with 8 groups (fewer where the channels do not divide), then ReLU."""
        return F.relu(F.group_norm(x, math.gcd(8, x.shape[1]), *self._pair(name)))

    def _pair(self, name: str) -> tuple[Tensor, Tensor]:
        return self._of(f"{name}.weight"), self._of(f"{name}.bias")

    def _of(self, key: str) -> Tensor:
        return self.weights[key]
