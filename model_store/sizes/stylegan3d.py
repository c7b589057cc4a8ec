"""Sizes of the authors' 3D-StyleGAN (Hong et al., DGM4MICCAI 2021)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model_store.card import ModelCard
from model_store.sizes.base import Edges, GeneratorSizes, Width, grown

Architecture = Literal["orig", "skip", "resnet"]


class StyleGAN3DSizes(GeneratorSizes):
    family: ClassVar[str] = "stylegan3d"

    base: Edges
    widths: Annotated[list[Width], Field(min_length=1, max_length=10, strict=False)]
    """Channels of block 2, 3, ..., R."""
    architecture: Architecture
    noise: bool
    mapping_layers: Annotated[int, Field(ge=1, le=64)]
    mapping_width: Width

    def generator_fault(self, card: ModelCard) -> str | None:
        latent, blocks = card.latent, len(self.widths)
        if not latent.has_style_space or card.truncation.kind != "psi" or card.has_encoder:
            return "a 3D-StyleGAN has a style space, truncates by psi and has no encoder"
        if latent.num_styles != 2 * blocks or card.shape != grown(self.base, blocks - 1):
            return "styles or shape are not those of a 3D-StyleGAN with these blocks"
        return None
