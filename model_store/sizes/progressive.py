"""Sizes of the bone paper's two families, 3D-ProGAN and 3D-StyleGAN."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from model_store.card import ModelCard
from model_store.sizes.base import Count, Edges, GeneratorSizes, Width, grown

STYLES_PER_STAGE = 3
"""A stage has three convolutions (table A.3)."""
MAPPING_LAYERS = 6
MOST_CHANNELS = 8
"""Stages have at most 8 c channels."""

Shape = tuple[int, int, int]


def stage_channels(c: int, stages: int) -> list[int]:
    """Channels of stages 1 to N: c at the last, twice that at each one before, up to 8 c (table A.2: 8, 8, 4, 2, 1)."""
    return [c * min(MOST_CHANNELS, 2 ** (stages - stage)) for stage in range(1, stages + 1)]


def stage_shape(base: Sequence[int], stage: int) -> Shape:
    """Edges of the volume at a stage; stage 0 is the base."""
    a0, a1, a2 = grown(tuple(base), stage)
    return a0, a1, a2


class ProgressiveSizes(GeneratorSizes):
    """What both families have."""

    base: Edges
    channels: Annotated[list[Width], Field(min_length=1, max_length=16, strict=False)]
    """Of stage 1, 2, ..., N."""
    critic: bool = False
    """The critic is in the weights."""
    critic_channels: Annotated[list[Width], Field(strict=False)] | None = None
    """Where they are not the generator's."""

    @model_validator(mode="after")
    def _one_per_stage(self) -> Self:
        if self.critic_channels is not None and len(self.critic_channels) != len(self.channels):
            raise ValueError("critic_channels must have one number per stage")
        return self

    def generator_fault(self, card: ModelCard) -> str | None:
        if card.classes:
            return "this family has no classes"
        if grown(self.base, len(self.channels)) != card.shape:
            return "the shape is not the network's base, doubled once per stage"
        return None


class ProGANSizes(ProgressiveSizes):
    family: ClassVar[str] = "progan"

    def generator_fault(self, card: ModelCard) -> str | None:
        latent = card.latent
        if latent.has_style_space or latent.num_styles != 1 or latent.w_dim != latent.z_dim:
            return "a ProGAN has no style space"
        if card.truncation.kind != "normal":
            return "a ProGAN truncates z's normal distribution"
        return super().generator_fault(card)


class StyleGANSizes(ProgressiveSizes):
    family: ClassVar[str] = "stylegan"

    mapping_layers: Count = MAPPING_LAYERS

    def generator_fault(self, card: ModelCard) -> str | None:
        if not card.latent.has_style_space or card.truncation.kind != "psi":
            return "a StyleGAN has a style space and truncates by psi"
        if card.latent.num_styles != STYLES_PER_STAGE * len(self.channels):
            return "a StyleGAN has three styles per stage"
        return super().generator_fault(card)
