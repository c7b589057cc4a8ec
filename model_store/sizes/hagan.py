"""Sizes of HA-GAN's networks (Sun et al., IEEE JBHI 2022)."""

from typing import Annotated, ClassVar

from pydantic import Field

from model_store.card import ModelCard
from model_store.sizes.base import GeneratorSizes

EDGES = (32, 64, 128, 256)
"""Of the cube: 256 or 128 in the paper, 64 and 32 by the same rule."""


class HAGANSizes(GeneratorSizes):
    family: ClassVar[str] = "hagan"

    width: Annotated[int, Field(ge=2, le=8192, multiple_of=2)]
    """Channels behind the first convolution of G^H (table III)."""

    def generator_fault(self, card: ModelCard) -> str | None:
        latent = card.latent
        if len(set(card.shape)) > 1:
            return "a HA-GAN makes cubes, but the shape's edges differ"
        if card.shape[0] not in EDGES:
            return "no HA-GAN has this shape"
        if latent.has_style_space or latent.num_styles != 1 or card.truncation.kind != "normal":
            return "a HA-GAN has no style space"
        return None
