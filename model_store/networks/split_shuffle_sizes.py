"""Sizes of a Split&Shuffle-GAN (Liu et al. 2022). No torch: settings know them."""

from dataclasses import dataclass
from typing import Literal

Variant = Literal["baseline", "split", "split-shuffle"]
"""baseline: StyleGAN2 with one more dimension. split: two branches that never meet. split-shuffle: the paper's."""


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

    @property
    def dims(self) -> int:
        return len(self.base)

    @property
    def shape(self) -> tuple[int, ...]:
        """Edges of the generated volume or slice."""
        return tuple(edge * 2**self.doublings for edge in self.base)

    @property
    def branches(self) -> int:
        return 1 if self.variant == "baseline" else 2

    def flat(self) -> "Architecture":
        """The 2D network of the slices across A0 (section III-B: the same but for the additional dimension)."""
        return Architecture(self.base[1:], self.doublings, self.channels, self.variant)
