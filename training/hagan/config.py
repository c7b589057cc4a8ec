"""What a HA-GAN run is. The defaults are the paper's (section III-E), that of `lambda_class` its authors' code's."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from training.engine.config import Asked, Positive, StartingConfig


class HAGANConfig(StartingConfig):
    """HA-GAN (Sun et al., 2022), with the paper's losses and, by default, its settings."""

    name: str = Field(default="hagan", description="Of the trained model.")
    iterations: int = Field(default=80_000, ge=1, description="80000 in the paper.")
    batch_size: int = Field(default=4, ge=1, description="4 in the paper.")
    size: Literal[32, 64, 128, 256] = Field(default=256, description="Edge of the cube: 32, 64, 128 or 256.")
    width: int = Field(default=32, ge=8, multiple_of=8, description="Channels of the last layers; 32 in the paper.")
    latent_dim: int = Field(default=1024, ge=1, description="1024 in the paper.")
    classes: Annotated[list[str], Asked(metavar="NAME,NAME", kind=str)] = Field(
        default_factory=list, description="Of a conditional model, in the order of the labels."
    )
    lr_generator: Positive = Field(default=1e-4, description="Learning rate of the generator; 0.0001 in the paper.")
    lr_encoder: Positive = Field(default=1e-4, description="Learning rate of both encoders; 0.0001 in the paper.")
    lr_discriminator: Positive = Field(default=4e-4, description="Learning rate of both discriminators; 0.0004 there.")
    lambda_1: Positive = Field(
        default=5.0,
        description="Weight of eq. 6 in eq. 8; 5 in the paper. Alone before its Adam, it changes next to nothing.",
    )
    lambda_2: Positive = Field(
        default=5.0,
        description="Weight of eq. 7 in eq. 8; 5 in the paper. Alone before its Adam, it changes next to nothing.",
    )
    lambda_class: float = Field(
        default=0.1,
        ge=0,
        allow_inf_nan=False,
        description="Weight of the class loss (eq. 9) in the generator's update; 0.1 in the authors' code.",
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _by_commas(cls, classes: object) -> object:
        """Names with commas between them are taken as well."""
        if isinstance(classes, str):
            return [part.strip() for part in classes.split(",") if part.strip()]
        return classes
