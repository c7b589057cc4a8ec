"""The one protocol that every translator family fulfils: a scan becomes a volume, slab by slab, in little memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from model_store.card import TranslatorCard
from model_store.loaded_model import LoadedModel, Shape


@dataclass(frozen=True)
class Drawing:
    """What a family wants its guides to be: edges, and a canvas of the lowest scale, doubled so often at most."""

    lr_size: int
    """Edge of the cube at the lowest scale."""
    doublings: int
    sigma: float
    """Of Canny's Gaussian, in voxels of the scan."""
    low: float
    high: float
    """Canny's thresholds, as shares of the scan's steepest gradient."""


@dataclass(frozen=True, eq=False)
class Guide:
    """What the networks read, and the canvas that their image will fill. Nothing larger than `drawn` is ever kept.

    drawn: (D0, D1, D2) uint8, what was found in the scan or drawn in its stead. shape: of the finest image. spans: per
    axis the index in `drawn`, whole or not, under the image's first and last voxel. doublings: how often the lowest
    scale is doubled to make the shape.
    """

    drawn: Tensor
    shape: Shape
    spans: tuple[tuple[float, float], ...]
    doublings: int


@dataclass(frozen=True)
class Pass:
    """How far a translation is: `done` of `total` pieces of one scale of networks, the lowest 0, are made."""

    scale: int
    doublings: int
    shape: Shape
    done: int
    total: int
    share: float = 0.0
    """Of the arithmetic of the whole translation, what is done."""


@dataclass(frozen=True, eq=False)
class Slab:
    """Finished planes of the finest image: (k, A1, A2) float32 on the CPU, in the card's network range, at `start` of
    A0."""

    start: int
    planes: Tensor


class Translator(LoadedModel, Protocol):
    """A model that makes a volume of a scan."""

    @property
    def card(self) -> TranslatorCard: ...

    @property
    def drawing(self) -> Drawing: ...

    def translate(self, guide: Guide) -> Iterator[Pass | Slab]:
        """The image of a guide, with the course of the work. The same guide gives the same bytes.

        The slabs come in order along A0 and together are the guide's shape. Beside the guide and the scale before the
        finest no more than some planes are in memory, and on the device a batch of patches, however large the image.
        Between two yields the caller may stop, and the work ends there.

        Raises:
            ValueError: a shape that the networks cannot make.
        """
