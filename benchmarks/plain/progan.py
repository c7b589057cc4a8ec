"""3D-ProGAN as table A.2 of the bone paper draws it, and the encoder of section 3.5, written plainly.

Every upsampled tensor is made and then convolved with 3^3 taps, memory is contiguous, nothing happens in place. Weights
by the keys of a model folder's file.
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

GAIN = 2**0.5


def equalised(weight: Tensor, gain: float = GAIN) -> Tensor:
    """A stored weight at its running scale, gain / sqrt(fan in)."""
    return weight * (gain / math.sqrt(weight[0].numel()))


class PlainProgressive:
    """What the two families share: weights by name, layers with equalised learning rates, the reversed encoder."""

    def __init__(self, weights: Mapping[str, Tensor], card: ModelCard) -> None:
        self.weights = weights
        self.base, self.stages = tuple(card.network["base"]), len(card.network["channels"])

    @classmethod
    def read(cls, folder: Path, card: ModelCard, device: torch.device) -> Self:
        """The weights of a model folder, float32."""
        stored = load_file(folder / "weights.safetensors")
        return cls({key: value.to(device, torch.float32) for key, value in stored.items()}, card)

    def of(self, key: str) -> Tensor:
        return self.weights[key]

    def count(self, layers: str) -> int:
        """How many layers a list has."""
        return len({key.removeprefix(layers).split(".")[1] for key in self.weights if key.startswith(f"{layers}.")})

    def dense(self, name: str, x: Tensor, gain: float = GAIN) -> Tensor:
        return F.linear(x, equalised(self.of(f"{name}.weight"), gain), self.of(f"{name}.bias"))

    def conv(self, name: str, x: Tensor, gain: float = GAIN) -> Tensor:
        return F.conv3d(x, equalised(self.of(f"{name}.weight"), gain), self.of(f"{name}.bias"), padding=1)

    def reversed(self, volume: Tensor) -> Tensor:
        """(n, 1, *shape) -> (n, latent): table A.2 backwards, without pixel normalisation."""
        x = F.silu(self.conv("encoder.from_image", volume.to(self.of("encoder.from_image.weight"))))
        for stage in reversed(range(self.stages)):
            x = F.silu(self.conv(f"encoder.same.{stage}", x))
            x = F.silu(F.avg_pool3d(self.conv(f"encoder.down.{stage}", x), 2))
        return self.dense("encoder.latent", x.flatten(1), gain=1.0)


class PlainProGAN(PlainProgressive):
    """The generator at the last stage and, where the weights have one, the encoder."""

    def synthesise(self, z: Tensor) -> Tensor:
        """(n, z_dim) -> (n, 1, *shape) in [0, 1]."""
        x = self.dense("generator.dense", z.to(self.of("generator.dense.weight")), gain=1.0)
        x = x.view(len(z), -1, *self.base)
        for stage in range(self.stages):
            x = F.interpolate(x, scale_factor=2)
            for part in ("upsample", "last"):
                x = F.silu(self.conv(f"generator.stages.{stage}.{part}", x))
                x = x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()
        return torch.sigmoid(self.conv(f"generator.to_image.{self.stages - 1}", x, gain=1.0))

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, *shape) -> z as (n, 1, z_dim)."""
        return self.reversed(volume)[:, None]
