"""MEGAN's HR network by the authors' layers, written plainly: the way that ours is compared with.

One patch after the other, memory contiguous, torch's own normalisation, nothing in place. Weights by the keys of a
model folder's file.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


class PlainHR:
    """One level of the cascade."""

    def __init__(self, weights: Mapping[str, Tensor], level: int, blocks: int) -> None:
        prefix = f"cascade.levels.{level}."
        self.weights = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        self.blocks = blocks

    def __call__(self, patch: Tensor) -> Tensor:
        """(1, 2, 32, 32, 32) -> (1, 1, 32, 32, 32)."""
        x = self._layer("enter", patch, padding=1)
        for k in range(2):
            x = self._layer(f"down.{k}", x, stride=2, padding=1)
        for k in range(self.blocks):
            y = self._layer(f"blocks.{k}.first", x, padding=1)
            x = x + self._normed(f"blocks.{k}.second", self._conv(f"blocks.{k}.second.conv", y, padding=1))
        for k in range(2):
            y = F.conv_transpose3d(x, *self._pair(f"up.{k}.conv"), stride=2, padding=1)
            x = F.relu(self._normed(f"up.{k}", y))
        return torch.tanh(self._conv("leave", x, padding=3))

    def _layer(self, name: str, x: Tensor, padding: int, stride: int = 1) -> Tensor:
        return F.relu(self._normed(name, self._conv(f"{name}.conv", x, padding, stride)))

    def _conv(self, name: str, x: Tensor, padding: int, stride: int = 1) -> Tensor:
        return F.conv3d(x, *self._pair(name), stride=stride, padding=padding)

    def _normed(self, name: str, x: Tensor) -> Tensor:
        gain, shift = self._pair(f"{name}.norm")
        return F.instance_norm(x, weight=gain, bias=shift)

    def _pair(self, name: str) -> tuple[Tensor, Tensor]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
