"""Pairs of a latent and the thorax phantoms that it names, one of each class, kept in a folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.demo.thorax_anatomy import CLASSES, LATENT_DIM, volumes_of

Told = Callable[[int, int], None]
"""Progress: written, count."""
LOW_FACTOR = 4
_STEPS = 255.0


def latent_of(index: int) -> Tensor:
    """z of pair `index`, (LATENT_DIM,): N(0, I), every third one wider, so that the edges of the space are seen."""
    z = torch.randn(LATENT_DIM, generator=torch.Generator().manual_seed(index))
    return z * (1.3 if index % 3 == 0 else 1.0)


@dataclass(frozen=True)
class Batch:
    """Latents (n, L), class numbers (n,), and what they name (n, 1, e, e, e) in [-1, 1]. Samples 2k and 2k + 1 have the
    same latent in two classes."""

    z: Tensor
    labels: Tensor
    real: Tensor
    low: Tensor
    """At a quarter of the edge; `real` itself where that is what was asked for."""


class Pairs:
    """The pairs 0 .. count - 1: z-<index>.npy, (classes, S, S, S) uint8, written where they are not there yet."""

    def __init__(self, folder: Path, count: int, size: int, told: Told = lambda _done, _count: None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.size, self.z = size, torch.stack([latent_of(index) for index in range(count)])
        self.files = [folder / f"z-{index:05d}.npy" for index in range(count)]
        lows = []
        for index, file in enumerate(self.files):
            if not file.exists():
                unfinished = file.with_suffix(".part")
                unit = (volumes_of(self.z[index], size) + 1) / 2
                with unfinished.open("wb") as out:
                    np.save(out, (unit * _STEPS + 0.5).to(torch.uint8).numpy())
                unfinished.rename(file)
            lows.append(F.avg_pool3d(self._read(file, range(len(CLASSES))), LOW_FACTOR))
            told(index + 1, count)
        self.low = torch.stack(lows)
        """(count, classes, S/4, S/4, S/4) in [-1, 1]."""

    def draw(self, latents: int, source: torch.Generator, high: bool) -> Batch:
        """So many latents, each in two different classes; at full resolution where `high`."""
        chosen = torch.randint(len(self.z), (latents,), generator=source).tolist()
        pairs = [torch.randperm(len(CLASSES), generator=source)[:2].tolist() for _ in chosen]
        low = torch.cat([self.low[index, pair] for index, pair in zip(chosen, pairs, strict=True)])[:, None]
        real = low
        if high:
            read = [self._read(self.files[index], pair) for index, pair in zip(chosen, pairs, strict=True)]
            real = torch.cat(read)[:, None]
        labels = torch.tensor([label for pair in pairs for label in pair])
        return Batch(self.z[chosen].repeat_interleave(2, dim=0), labels, real, low)

    def _read(self, file: Path, classes: Sequence[int]) -> Tensor:
        """Some classes (n, S, S, S) in [-1, 1] of a pair."""
        stored = np.load(file, mmap_mode="r")
        return torch.from_numpy(stored[list(classes)]).float() * (2 / _STEPS) - 1
