"""What a training run is: one frozen object, written beside its checkpoints."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]


class CourseConfig(BaseModel):
    """What every run has: data, sizes of steps, and how often it reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """A folder of scans; labels.csv beside them (file, label) where the model is conditional."""
    out: Path
    name: str
    iterations: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    augment: Literal["none", "light"] = "none"
    seed: int = 0
    device: str = "cpu"
    data_workers: Annotated[int, Field(ge=0)] = 0
    log_every: Annotated[int, Field(ge=1)] = 10
    picture_every: Annotated[int, Field(ge=1)] = 500
    save_every: Annotated[int, Field(ge=1)] = 500


class RunConfig(CourseConfig):
    """What the runs of every generator share: how a scan comes to the network, as the model's card will say it."""

    modality: str = "CT"
    anatomy: str = ""
    axes: Annotated[str, Field(pattern=r"^[RLAPSI]{3}$")] = "SPL"
    spacing_mm: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    """Along the network's axes; nominal with placement "stretch"."""
    placement: Literal["stretch", "head"] = "stretch"
    trim_blank_slices: bool = True
    window: tuple[float, float] | None = (-1024.0, 600.0)
    """[low, high] of the stored values that become the network's range; None takes quantiles of each scan."""
    units: str = "HU"


class HAGANConfig(RunConfig):
    """The defaults are the paper's (section III-E)."""

    name: str = "hagan"
    start_from: Path | None = None
    """A model folder (imported, or trained before) whose generator and encoder are the start; same sizes."""
    size: Literal[32, 64, 128, 256] = 256
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 32
    latent_dim: Annotated[int, Field(ge=1)] = 1024
    classes: list[str] = Field(default_factory=list)
    """Names in the order of the labels; empty for an unconditional model."""
    iterations: Annotated[int, Field(ge=1)] = 80_000
    batch_size: Annotated[int, Field(ge=1)] = 4
    lr_generator: Positive = 1e-4
    lr_encoder: Positive = 1e-4
    lr_discriminator: Positive = 4e-4
    lambda_1: Positive = 5.0
    """Weight of eq. 6 in eq. 8."""
    lambda_2: Positive = 5.0
    """Weight of eq. 7 in eq. 8."""
