"""What a training run is: one frozen object, written beside its checkpoints."""

import math
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from model_store.card import FEWEST_LEVELS, NAME_RULE, is_name, spans_space

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OWN_FILES = ("config.json", "checkpoint.pt", "checkpoint.partial", "checkpoint-2d.pt", "checkpoint-2d.partial")
"""Of a run, beside the folder of its model."""


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

    @property
    def cache(self) -> Path:
        """Prepared scans. A folder of models has no others but those that begin with a dot."""
        return self.out / ".cache"

    @property
    def log(self) -> Path:
        """TensorBoard's folder."""
        return self.out / ".tensorboard"

    @field_validator("name")
    @classmethod
    def _can_be_served(cls, name: str) -> str:
        if not is_name(name):
            raise ValueError(NAME_RULE)
        if name in OWN_FILES:
            raise ValueError(f"{name} is a file of the run")
        return name

    @field_validator("device")
    @classmethod
    def _is_there(cls, device: str) -> str:
        if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
            raise ValueError("a device is cpu, or cuda:N such as cuda:0")
        if device != "cpu":
            import torch  # here alone, for the command line reads this file in places without torch

            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if int(device.partition(":")[2] or 0) >= count:
                raise ValueError(f"there is no {device} on this machine; CUDA devices that torch sees: {count}")
        return device


class RunConfig(CourseConfig):
    """What the runs of every generator share: how a scan comes to the network, as the model's card will say it."""

    modality: str = "CT"
    anatomy: str = ""
    axes: str = "SPL"
    spacing_mm: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    """Along the network's axes; nominal with placement "stretch"."""
    placement: Literal["stretch", "head"] = "stretch"
    trim_blank_slices: bool = True
    window: tuple[float, float] | None = (-1024.0, 600.0)
    """[low, high] of the stored values that become the network's range; None takes quantiles of each scan."""
    units: str | None = None
    """Of the window; None: HU for CT, a.u. for all else."""

    @field_validator("axes")
    @classmethod
    def _span_space(cls, axes: str) -> str:
        if not spans_space(axes):
            raise ValueError("three letters, one of each pair R/L, A/P, S/I, such as SPL")
        return axes

    @field_validator("window")
    @classmethod
    def _has_width(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not (all(map(math.isfinite, window)) and window[0] < window[1]):
            raise ValueError("two finite numbers, the lower one first")
        if window is not None and window[1] - window[0] < FEWEST_LEVELS:
            raise ValueError(
                "so narrow that volumes in whole numbers would lose the picture: scale the scans, as to 0 255, or "
                "leave the window of MR out"
            )
        return window


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
