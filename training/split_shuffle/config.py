"""What a Split&Shuffle-GAN run is: its sizes, its pre-training, its rates. The defaults are the paper's."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from model_store.networks.split_shuffle_layers import Architecture, Variant
from training.engine.config import Positive, RunConfig
from training.split_shuffle.inflation import Inflation

Whole = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class SplitShuffleConfig(RunConfig):
    """Section IV-B; what the paper leaves to "the StyleGAN2 configuration" is that of Karras et al. 2020."""

    name: str = "split-shuffle"
    shape: tuple[Whole, Whole, Whole] = (64, 64, 64)
    """Of the volumes; 32 x 64 x 64 for the paper's hearts."""
    doublings: Annotated[int, Field(ge=1, le=10)] = 4
    """From the constant to the volume; each edge of the shape divides by 2 that often."""
    channels: Annotated[int, Field(ge=2, multiple_of=2)] = 32
    variant: Variant = "split-shuffle"
    z_dim: Whole = 64
    w_dim: Whole = 64
    iterations: Whole = 39_063
    """5,000,000 volumes."""
    batch_size: Whole = 128
    pretrain_2d: Annotated[int, Field(ge=0)] = 0
    """Iterations on slices across A0 before the volumes; 195,313 in the paper. 0: none, and no inflation."""
    inflation: Inflation = "inflate-1"
    learning_rate: Positive | None = None
    """Of the volumes' run; None takes 0.0025 from scratch and 0.002 after inflation."""
    learning_rate_2d: Positive = 0.0025
    r1_weight: Annotated[float, Field(ge=0)] = 0.0512
    """gamma."""
    r1_every: Whole = 16
    path_length_weight: Annotated[float, Field(ge=0)] = 2.0
    path_length_every: Whole = 4
    mixing: Share = 0.9
    """How often a sample takes its styles from two latents."""
    average_images: Positive = 10_000.0
    """Images over which the averaged weights forget half."""

    @field_validator("doublings")
    @classmethod
    def _divides(cls, doublings: int, info: ValidationInfo) -> int:
        if any(edge % 2**doublings for edge in info.data.get("shape", ())):
            raise ValueError(f"each edge of the shape must divide by {2**doublings}")
        return doublings

    @property
    def architecture(self) -> Architecture:
        """Of the 3D networks."""
        base = tuple(edge // 2**self.doublings for edge in self.shape)
        return Architecture(base, self.doublings, self.channels, self.variant)

    @property
    def rate(self) -> float:
        """Learning rate of the volumes' run."""
        return self.learning_rate or (0.002 if self.pretrain_2d else 0.0025)
