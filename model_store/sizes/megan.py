"""Sizes of MEGAN's networks (Uzunova et al., CMIG 2020), and how its edges are drawn."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from model_store.card import AnyCard, TranslatorCard
from model_store.sizes.base import Count, FamilySizes, Shapes

LARGEST = 1024
"""Edge of the finest cube."""
LR_SIZES = range(16, 513, 4)
"""Halved twice; from 16 on a patch fits into the next scale."""
Width = Annotated[int, Field(ge=1, le=1024)]
Share = Annotated[float, Field(ge=0, lt=1)]


class ScaleSizes(BaseModel):
    """One network."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    width: Width
    """Channels behind the first convolution; 64 in the authors' files."""
    blocks: Annotated[Count, Field(le=64)]
    """Residual ones; 6 in the authors' files."""


class EdgeSizes(BaseModel):
    """Canny's numbers (volumes/edges.py): MATLAB's thresholds as the authors give them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sigma: Annotated[float, Field(ge=0.3, le=4)] = math.sqrt(2)
    low: Share = 0.1
    high: Share = 0.2
    power: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of the weights, from 0 to 1, on their way into the networks (docs/decisions/0047); 1 leaves them."""


class MEGANSizes(FamilySizes):
    family: ClassVar[str] = "megan"
    card: ClassVar[type[AnyCard]] = TranslatorCard

    lr: ScaleSizes
    hr: Annotated[list[ScaleSizes], Field(max_length=6, strict=False)]
    """One per doubling, coarse to fine."""
    lr_size: Annotated[int, Field(ge=LR_SIZES[0], le=LR_SIZES[-1], multiple_of=LR_SIZES.step)] = 64
    """Edge of the cube at the lowest scale."""
    edges_at_twice: bool = True
    """LR reads edges at twice the size of the image that it makes."""
    adds_coarse: bool = False
    """HR networks make what is missing from the enlarged coarser image (docs/decisions/0047), the authors' all."""
    skips: bool = False
    """Features of the way down are added on the way up, and HR reads the enlarged coarser image too (there)."""
    blends: bool = False
    """Patches pass into each other instead of ending at the borders of their middles (docs/decisions/0061)."""
    edges: EdgeSizes = EdgeSizes()

    @property
    def doublings(self) -> int:
        """How often the lowest scale can be doubled."""
        return len(self.hr)

    def tensors(self) -> Shapes:
        """Of the networks of all scales (`model_store/networks/megan.py`)."""
        halvings = 3 if self.edges_at_twice else 2
        shapes = dict(_tensors("cascade.levels.0", self.lr, 1, halvings))
        for scale, sizes in enumerate(self.hr, 1):
            shapes |= _tensors(f"cascade.levels.{scale}", sizes, 3 if self.skips else 2, 2)
        return shapes

    def fault(self, card: AnyCard) -> str | None:
        if not isinstance(card, TranslatorCard):
            return "a MEGAN translates scans and has no latent"
        if self.lr_size << self.doublings > LARGEST:
            return f"the finest of these scales is larger than {LARGEST}"
        if self.edges.low > self.edges.high:
            return "the edges' low threshold lies above the high one"
        if card.intensity.network_range != (-1.0, 1.0):
            return "a MEGAN's networks give values from -1 to 1"
        return None


def _tensors(prefix: str, sizes: ScaleSizes, inputs: int, halvings: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of one network."""
    width = sizes.width
    widths = [*[width] * (halvings - 1), 2 * width, 4 * width]
    convs = [("enter", (width, inputs, 3, 3, 3), width)]
    convs += [(f"down.{k}", (out, into, 4, 4, 4), out) for k, (into, out) in enumerate(pairwise(widths))]
    inner = (4 * width, 4 * width, 3, 3, 3)
    convs += [(f"blocks.{k}.{part}", inner, 4 * width) for k in range(sizes.blocks) for part in ("first", "second")]
    # transposed: what comes in stands first
    convs += [(f"up.{k}", (into, into // 2, 4, 4, 4), into // 2) for k, into in enumerate((4 * width, 2 * width))]
    for name, kernel, out in convs:
        yield f"{prefix}.{name}.conv.weight", kernel
        for vector in ("conv.bias", "norm.weight", "norm.bias"):
            yield f"{prefix}.{name}.{vector}", (out,)
    yield f"{prefix}.leave.weight", (1, width, 7, 7, 7)
    yield f"{prefix}.leave.bias", (1,)
