"""What a training run is: one frozen object, written beside its checkpoints. No torch: the command line reads it.

Each setting stands once: its default, its bounds and the description that is the option's help.
"""

import math
import re
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from model_store.card import FEWEST_LEVELS, NAME_RULE, is_name, spans_space

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=1)]
CHECKPOINT, CONFIG, DATA, DATA_PICTURE = "checkpoint.pt", "config.json", "data.json", "data.png"
OWN_FILES = re.compile(r"(config|data|(checkpoint|samples)(-2d)?(-[0-9]+)?)\.(json|png|pt|partial)")
"""Of a run, beside the folder of its model."""
CT_WINDOW = (-1024.0, 600.0)
"""In HU."""


@dataclass(frozen=True)
class Asked:
    """How a setting is given on a command line, where its name and type do not say it."""

    flag: str | None = None
    """None: the name with hyphens."""
    metavar: str | None = None
    kind: Any = None
    """What is typed; None: the setting's own type."""
    must_exist: bool = False
    may_change: bool = False
    """Whether a run that goes on may have another value: it decides neither the networks nor what they learn."""


RUNNING = Asked(may_change=True)


class CourseConfig(BaseModel):
    """What every run has: data, sizes of steps, and how often it reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    data: Annotated[Path, Asked(must_exist=True, may_change=True)] = Field(
        description="Folder of scans; labels.csv beside them where the model has classes."
    )
    out: Annotated[Path, RUNNING] = Field(description="Checkpoints, TensorBoard log and the trained model.")
    name: Annotated[str, RUNNING] = Field(description="Of the trained model.")
    title: Annotated[str, RUNNING] = Field(default="", description="What people call the model.")
    licence: Annotated[str, RUNNING] = Field(default="", description="Of the model's weights, for its card.")
    iterations: Whole
    batch_size: Whole
    accumulate: int = Field(
        default=1,
        ge=1,
        description="Batches that make one step: a batch so many times as large, in the memory of one.",
    )
    skip_unreadable: Annotated[bool, RUNNING] = Field(
        default=False, description="Leave out scans that cannot be read, and say which."
    )
    augment: Literal["none", "light"] = Field(default="none", description="Small random changes of each scan.")
    seed: int = Field(default=0, ge=0, description="Of weights, noise, order and augmentation.")
    device: Annotated[str, Asked(metavar="cpu|cuda:N", may_change=True)] = Field(
        default="cpu", description="Where to train."
    )
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        default="float32",
        description="Of convolutions and matrix products in forward passes; bfloat16 pays on processors with AVX-512 "
        "BF16 or AMX and on CUDA, tf32 is CUDA's alone.",
    )
    data_workers: Annotated[int, RUNNING] = Field(default=0, ge=0, description="Processes that read scans.")
    log_every: Annotated[int, RUNNING] = Field(
        default=10, ge=1, description="Iterations between reports of the losses."
    )
    picture_every: Annotated[int, RUNNING] = Field(
        default=500, ge=1, description="Iterations between pictures of samples."
    )
    save_every: Annotated[int, RUNNING] = Field(default=500, ge=1, description="Iterations between checkpoints.")

    keep_every: Annotated[int, RUNNING] = Field(
        default=0, ge=0, description="Iterations between checkpoints that are kept, each under its number; 0: none is."
    )

    @property
    def effective_batch(self) -> int:
        """Samples that a step is made of."""
        return self.batch_size * self.accumulate

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
        if OWN_FILES.fullmatch(name):
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

    @field_validator("precision")
    @classmethod
    def _is_the_devices(cls, precision: str, info: ValidationInfo) -> str:
        if precision == "tf32" and info.data.get("device", "cpu") == "cpu":
            raise ValueError("tf32 is how CUDA's matrix units read float32: it needs --device cuda:N")
        return precision


class RunConfig(CourseConfig):
    """What the runs of every generator share: how a scan comes to the network, as the model's card will say it."""

    modality: Annotated[str, Asked(kind=Literal["CT", "MR"])] = Field(
        default_factory=str,
        description="CT: window in HU. MR: quantiles of each scan. Without it what the scans' values look like.",
    )
    """Empty until a look at the scans has told it."""
    anatomy: Annotated[str, RUNNING] = Field(default="", description="What the scans show, for the model's card.")
    axes: str = Field(default="SPL", description="Where the network's axes point, as axis codes.")
    spacing_mm: Annotated[tuple[Positive, Positive, Positive] | None, Asked("--spacing", "A0 A1 A2")] = Field(
        default=None,
        description="Voxel size in mm along A0, A1, A2; without it the scans' extents over the size. Nominal where "
        "placement stretch has scans of several extents.",
    )
    placement: Literal["stretch", "head"] = Field(
        default="stretch", description="The whole field of view, or a box at the head."
    )
    trim_blank_slices: Annotated[bool, Asked("--trim-blank-slices/--keep-blank-slices")] = Field(
        default=True, description="Whether empty slices at the ends are left out."
    )
    window: Annotated[tuple[float, float] | None, Asked(metavar="LOW HIGH")] = Field(
        default_factory=lambda data: CT_WINDOW if data.get("modality") == "CT" else None,
        description="Stored values that become the network's range; without it -1024 600 for CT, quantiles of each "
        "scan for MR.",
    )
    """None takes quantiles of each scan."""
    units: str | None = Field(default=None, description="Of the window; without it HU for CT, a.u. for all else.")

    @property
    @abstractmethod
    def sides(self) -> tuple[int, int, int]:
        """Of the network's grid, along A0, A1, A2."""

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


class StartingConfig(RunConfig):
    """A run that may start from a finished model."""

    start_from: Annotated[Path | None, RUNNING] = Field(
        default=None, description="Model folder to train on, of the same sizes; only a run without checkpoint reads it."
    )

    @field_validator("start_from")
    @classmethod
    def _is_needed_once(cls, folder: Path | None, info: ValidationInfo) -> Path | None:
        has_begun = "out" in info.data and (info.data["out"] / CHECKPOINT).exists()
        if folder is not None and not has_begun and not folder.is_dir():
            raise ValueError("there is no such folder")
        return folder
