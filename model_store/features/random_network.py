"""`random`: convolutions that were never trained, the baseline that any other features have to beat.

Three small networks with He's initialisation, each by a seed of its own; of every layer the mean and the standard
deviation of each channel, of the last one the means of its eight octants too, so that it matters where an organ is.
"""

import hashlib

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_store.features.network import Shape

SHAPE = (64, 64, 64)
WIDTHS = (8, 16, 16)
SEEDS = (1, 2, 3)
STRIDES = (1, 2, 2)


class RandomNetwork:
    """Features (n, 624)."""

    name = "random"

    def __init__(self, device: torch.device | str = "cpu", shape: Shape = SHAPE) -> None:
        self.shape: Shape | None = shape
        self.device = torch.device(device)
        layers = zip(*(_kernels(seed) for seed in SEEDS), strict=True)
        self.kernels = [torch.cat(of_all).to(self.device) for of_all in layers]

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256(repr((SHAPE, STRIDES)).encode())
        for kernel in self.kernels:
            digest.update(kernel.cpu().numpy().tobytes())
        return digest.hexdigest()

    def features(self, unit: Tensor) -> Tensor:
        """(n, 1, X, Y, Z) -> (n, 624)."""
        x, found = unit.to(self.device, torch.float32) * 2 - 1, []
        for layer, (kernel, stride) in enumerate(zip(self.kernels, STRIDES, strict=True)):
            groups = len(SEEDS) if layer else 1  # side by side, none sees another's channels
            x = functional.relu(functional.conv3d(x, kernel, stride=stride, padding=1, groups=groups))
            found += [x.mean(dim=(2, 3, 4)), x.std(dim=(2, 3, 4))]
        return torch.cat([*found, functional.adaptive_avg_pool3d(x, 2).flatten(1)], dim=1)


def _kernels(seed: int) -> list[Tensor]:
    """(out, in, 3, 3, 3) of each layer. RandomState's stream is frozen, which no newer generator promises."""
    generator, made = np.random.RandomState(seed), []
    for before, width in zip((1, *WIDTHS), WIDTHS, strict=False):
        scale = np.sqrt(2 / (27 * before))  # He et al. 2015, equation 10
        made.append(torch.from_numpy((generator.randn(width, before, 3, 3, 3) * scale).astype(np.float32)))
    return made
