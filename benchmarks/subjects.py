"""Whose networks are measured: one row per subject.

A new family takes three things and a row in SUBJECTS:
- `write(folder, name, size, width, latent)` writes `folder / name`: a model of random weights as `load` reads it (card
  and safetensors), so that ours is measured through the public door, `workers.bench.Bench`;
- `plain(folder, card, device)` reads the same weights into a straightforward implementation, written independently of
  the networks (`plain_<family>.py`): explicit upsampling, contiguous layout, nothing in place;
- `work(card)` counts the arithmetic of its passes from the layers' shapes.
The forward and encoder parts, the table and the plot then take it up; an encoder is measured where the card has one.
`sizes` are edges of the volume: along the first axis where a family makes no cubes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.plain.hagan import PlainHAGAN
from benchmarks.plain.stylegan import PlainStyleGAN
from benchmarks.weights.random_hagan import write_hagan
from benchmarks.weights.random_stylegan import stylegan_work, write_stylegan
from benchmarks.work import Work, hagan_work
from model_store.card import ModelCard
from model_store.sizes.hagan import EDGES


class Plain(Protocol):
    """A straightforward implementation with its weights on the device."""

    def synthesise(self, z: Tensor) -> Tensor:
        """(n, z_dim) -> (n, 1, *card.shape); a mapping network, where there is one, included."""

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, *card.shape) -> what `Generator.encode` gives."""


@dataclass(frozen=True)
class Subject:
    """A family of networks as it is measured."""

    name: str
    sizes: frozenset[int]
    width: int
    """Full width."""
    latent: int
    write: Callable[[Path, str, int, int, int], ModelCard]
    plain: Callable[[Path, ModelCard, torch.device], Plain]
    work: Callable[[ModelCard], Work]


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("hagan", frozenset(EDGES), 32, 1024, write_hagan, PlainHAGAN.read, hagan_work),
        # The bone paper's, c = 16. 32^3 is for tests; a whole run, long enough already, measures 256^3 alone.
        Subject("stylegan", frozenset({32, 256}), 16, 512, write_stylegan, PlainStyleGAN.read, stylegan_work),
    )
}
