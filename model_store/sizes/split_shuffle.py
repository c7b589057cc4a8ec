"""Sizes of Split&Shuffle-GAN (Liu et al. 2022)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model_store.card import ModelCard
from model_store.sizes.base import Edges, GeneratorSizes, grown

Variant = Literal["baseline", "split", "split-shuffle", "group-d", "depthwise-d"]
"""baseline: StyleGAN2 with one more dimension. split: two branches that never meet. split-shuffle: the paper's.
group-d, depthwise-d: the baseline's generator; group or depthwise separable convolutions in the discriminator."""
GROUPS = 4
"""Of group-d."""
MAPPING_LAYERS = 8


@dataclass(frozen=True)
class Architecture:
    """Sizes that generator and discriminator share.

    Raises:
        ValueError: there is no such network.
    """

    base: tuple[int, ...]
    """Edges of the constant, two or three."""
    doublings: int = 4
    channels: int = 32
    variant: Variant = "split-shuffle"

    def __post_init__(self) -> None:
        if len(self.base) not in (2, 3) or min(self.base) < 1 or self.doublings < 1:
            raise ValueError("expected two or three edges and at least one doubling")
        if self.channels < 2 or self.channels % 2:
            raise ValueError("expected an even number of channels")
        if self.variant == "group-d" and self.channels % GROUPS:
            raise ValueError(f"expected a multiple of {GROUPS} channels")

    @property
    def dims(self) -> int:
        return len(self.base)

    @property
    def shape(self) -> tuple[int, ...]:
        """Edges of the generated volume or slice."""
        return grown(self.base, self.doublings)

    @property
    def branches(self) -> int:
        return 2 if self.variant in ("split", "split-shuffle") else 1

    def flat(self) -> "Architecture":
        """The 2D network of the slices across A0 (section III-B: the same but for the additional dimension)."""
        return Architecture(self.base[1:], self.doublings, self.channels, self.variant)


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
        if self.variant == "group-d" and self.channels % GROUPS:
            return f"its discriminator's channels are no multiple of {GROUPS}"
        return None
