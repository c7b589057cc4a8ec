"""Sizes of Split&Shuffle-GAN (Liu et al. 2022)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model_store.card import ModelCard
from model_store.sizes.base import Edges, GeneratorSizes, grown

Variant = Literal["baseline", "split", "split-shuffle"]
"""baseline: StyleGAN2 with one more dimension. split: two branches that never meet. split-shuffle: the paper's."""
MAPPING_LAYERS = 8


class SplitShuffleSizes(GeneratorSizes):
    family: ClassVar[str] = "split-shuffle"

    base: Edges
    doublings: Annotated[int, Field(ge=1, le=10)]
    channels: Annotated[int, Field(ge=2, le=8192, multiple_of=2)]
    variant: Variant = "split-shuffle"
    mapping_layers: Annotated[int, Field(ge=1, le=64)] = MAPPING_LAYERS
    critic: bool = False
    """The discriminator, of the same variant, is in the weights."""

    def generator_fault(self, card: ModelCard) -> str | None:
        latent = card.latent
        if not latent.has_style_space or card.truncation.kind != "psi" or card.has_encoder or card.classes:
            return "a Split&Shuffle-GAN has a style space, psi, no encoder and no classes"
        if latent.num_styles != 2 * self.doublings + 2 or card.shape != grown(self.base, self.doublings):
            return "styles or shape are not those of the network's base and doublings"
        return None
