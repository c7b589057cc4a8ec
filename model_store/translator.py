"""The one protocol that every translator family fulfils: a scan becomes a volume, slab by slab, in little memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from model_store.card import TranslatorCard
from model_store.loaded_model import LoadedModel, Shape


@dataclass(frozen=True)
class Pass:
    """How far a translation is: `done` of `total` pieces of one level of networks."""

    level: int
    levels: int
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Slab:
    """Planes of the finished volume: (A0, A1, k) float32 on the CPU, in the card's network range, at `start` of A2."""

    start: int
    planes: Tensor


class Translator(LoadedModel, Protocol):
    """A model that makes a volume of a scan."""

    @property
    def card(self) -> TranslatorCard: ...

    def translate(self, guide: Tensor, shape: Shape, scratch: Path) -> Iterator[Pass | Slab]:
        """The volume of a guide, with the course of the work.

        The slabs come in order along A2 and together are `shape`. Of guide, volume and the results between two levels
        no more than some planes are in memory at once, so that the peak does not grow with the edges: what is larger
        lies in files below `scratch`. Between two yields the caller may stop, and the work ends there. A folder that an
        earlier call with the same guide left is taken up after its last finished level.

        Args:
            guide: (D0, D1, D2) uint8, what the networks read of the scan, or of what was drawn in its stead; it may be
                mapped from a file.
            shape: edges of the volume to make, such as the card allows.
            scratch: a folder of this call's own.

        Raises:
            ValueError: a shape that the networks cannot make.
        """
