"""What a Split&Shuffle-GAN run is: its sizes, its pre-training, its rates. The defaults are the paper's."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from model_store.sizes.split_shuffle import Architecture, Variant
from training.engine.config import RUNNING, Asked, Positive, RunConfig, Whole

Inflation = Literal["inflate-1", "inflate-2", "inflate-3", "inflate-asc", "inflate-nwi"]


class SplitShuffleConfig(RunConfig):
    """Split&Shuffle-GAN (Liu et al., 2022), by default with the paper's settings, without its 2D pre-training."""

    # Section IV-B; what the paper leaves to "the StyleGAN2 configuration" is that of Karras et al., 2020.

    family: Literal["split-shuffle"] = "split-shuffle"
    name: Annotated[str, RUNNING] = Field(default="split-shuffle", description="Of the trained model.")
    shape: Annotated[tuple[Whole, Whole, Whole], Asked(metavar="S0 S1 S2")] = Field(
        default=(64, 64, 64), description="Of the volumes, along A0, A1, A2; 32 64 64 for the paper's hearts."
    )
    doublings: int = Field(default=4, ge=1, le=10, description="From the constant to the volume; 4 in the paper.")
    """Each edge of the shape divides by 2 that often."""
    channels: int = Field(default=32, ge=2, multiple_of=2, description="Of every layer; 32 in the paper.")
    variant: Variant = Field(
        default="split-shuffle",
        description="Plain StyleGAN2 in 3D, two branches that never meet, the paper's two branches shuffled, or plain "
        "with a discriminator of group or depthwise separable convolutions.",
    )
    z_dim: int = Field(default=64, ge=1, description="64 in the paper.")
    w_dim: int = Field(default=64, ge=1, description="64 in the paper.")
    iterations: Annotated[int, RUNNING] = Field(default=39_063, ge=1, description="On volumes; 39063 in the paper.")
    """5,000,000 volumes."""
    batch_size: int = Field(default=128, ge=1, description="128 in the paper.")
    accumulate: int = Field(
        default=1,
        ge=1,
        description="Batches that make one step. Other than of a batch so many times as large, its samples see only "
        "those of their own, by their standard deviation and their mean path length.",
    )
    pretrain_2d: int = Field(default=0, ge=0, description="Iterations on slices before; 195313 in the paper, 0: none.")
    """Slices across A0. With 0 nothing is inflated."""
    inflation: Inflation = Field(default="inflate-1", description="How 2D weights become 3D ones (eq. 3 to 7).")
    learning_rate: Positive | None = Field(
        default=None, description="Of the volumes' run; 0.0025, or 0.002 after inflation, where not given."
    )
    learning_rate_2d: Positive = Field(default=0.0025, description="On slices.")
    r1_weight: float = Field(default=0.0512, ge=0, description="gamma; 0.0512 in the paper.")
    r1_every: int = Field(default=16, ge=1, description="Iterations between gradient penalties.")
    path_length_weight: float = Field(default=2.0, ge=0, description="2 in StyleGAN2; 0: no path length penalty.")
    path_length_every: int = Field(default=4, ge=1, description="Iterations between path length penalties.")
    mixing: float = Field(default=0.9, ge=0, le=1, description="How often a sample takes its styles from two latents.")
    average_images: Positive = Field(
        default=10_000.0, description="Images over which the averaged weights forget half."
    )

    @field_validator("doublings")
    @classmethod
    def _divides(cls, doublings: int, info: ValidationInfo) -> int:
        if any(edge % 2**doublings for edge in info.data.get("shape", ())):
            raise ValueError(f"each edge of the shape must divide by {2**doublings}")
        return doublings

    @property
    def sides(self) -> tuple[int, int, int]:
        return self.shape

    @property
    def architecture(self) -> Architecture:
        """Of the 3D networks."""
        base = tuple(edge // 2**self.doublings for edge in self.shape)
        return Architecture(base, self.doublings, self.channels, self.variant)

    @property
    def rate(self) -> float:
        """Learning rate of the volumes' run."""
        return self.learning_rate or (0.002 if self.pretrain_2d else 0.0025)
