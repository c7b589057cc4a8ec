"""What a MEGAN run is. The defaults are the paper's and, where it is silent, its released code's."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from model_store.card import FEWEST_LEVELS, spans_space
from model_store.sizes.megan import LARGEST, LR_SIZES, EdgeSizes, MEGANSizes, ScaleSizes
from training.engine.config import CT_WINDOW, RUNNING, Asked, CourseConfig, Positive

Share = Annotated[float, Field(ge=0, le=1)]


class MEGANConfig(CourseConfig):
    """MEGAN (Uzunova et al., 2020): a translator to the domain of the scans, LR first, then one HR per scale."""

    family: Literal["megan"] = "megan"
    name: Annotated[str, RUNNING] = Field(default="megan", description="Of the trained model.")
    iterations: int = Field(default=20_000, ge=1, description="Of each network, one after the other.")
    batch_size: int = Field(
        default=20, ge=1, description="Patches of an HR iteration, LR taking one scan; 20 in the code."
    )
    accumulate: Literal[1] = 1
    """The samples of a batch see each other through batch norm, and LR takes one scan."""
    augment: Literal["none"] = "none"
    lr_size: int = Field(default=64, ge=LR_SIZES[0], le=LR_SIZES[-1], multiple_of=4, description="64 in the paper.")
    doublings: int = Field(default=2, ge=1, le=6, description="HR networks; 2 for brains, 3 for thoraces in the paper.")
    lr_width: int = Field(default=64, ge=1, le=1024, description="Channels of LR; 64 in the code.")
    lr_blocks: int = Field(default=6, ge=1, le=64, description="Residual blocks of LR; 6 in the code.")
    hr_width: int = Field(default=64, ge=1, le=1024, description="Channels of each HR; 64 in the code.")
    hr_blocks: int = Field(default=6, ge=1, le=64, description="Residual blocks of each HR; 6 in the code.")
    critic_width: int = Field(default=64, ge=1, le=1024, description="Channels of each discriminator; 64 in the code.")
    adds_coarse: bool = Field(
        default=False, description="HR makes the difference to the coarser image, enlarged; learns far sooner."
    )
    skips: bool = Field(
        default=False, description="Features of the way down are added on the way up; HR reads the enlarged image too."
    )
    blends: bool = Field(default=False, description="Patches pass into each other, so that no borders show.")
    edge_power: float = Field(
        default=1.0, gt=0, le=1, description="Of the edges' weights; below 1 the faint ones count for more."
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="In the residual blocks; 0.5 in the code.")
    grid: Literal["scan", "cube"] = Field(
        default="scan", description="True proportions, or stretched as by the authors."
    )
    target_domain: str = Field(default="", description="What the scans are, such as T1-weighted MR.")
    modality: Annotated[str, Asked(kind=Literal["CT", "MR"])] = Field(
        default_factory=str,
        description="CT: window in HU. MR: quantiles of each scan. Without it what the scans' values look like.",
    )
    anatomy: Annotated[str, RUNNING] = Field(default="", description="What the scans show, for the model's card.")
    axes: str = Field(default="RAS", description="Where the network's axes point, as axis codes.")
    window: Annotated[tuple[float, float] | None, Asked(metavar="LOW HIGH")] = Field(
        default_factory=lambda data: CT_WINDOW if data.get("modality") == "CT" else None,
        description="Stored values that become the network's range; without it -1024 600 for CT, quantiles of each "
        "scan for MR.",
    )
    learning_rate: Positive = Field(default=2e-4, description="Of all networks; 0.0002 in the code.")
    l1_weight: float = Field(default=10.0, ge=0, description="Of the L1 distance beside eq. 2; 10 in the code.")
    critic_until: Share = Field(default=0.8, description="A discriminator that is right more often waits; 0.8 there.")
    low_noise: float = Field(default=0.05, ge=0, description="Deviation of the noise on low-resolution patches.")
    edge_noise: float = Field(default=0.01, ge=0, description="Deviation of the noise on edges; 0.01 in the code.")
    blurred: Share = Field(default=0.3, description="Of the low-resolution patches; 0.3 in the paper.")
    contrasts: int = Field(
        default=0, ge=0, le=64, description="Further drawings of each scan's edges, under random contrasts."
    )
    deformed: Share = Field(default=0.0, description="Of LR's iterations, with image and edges deformed alike.")
    mirrored: Share = Field(default=0.0, description="Of the iterations, with left and right exchanged.")
    masks: Annotated[Path | None, Asked(must_exist=True)] = Field(
        default=None, description="Folder of masks of pathologies, 0 and 1 to 4, each of the name of its scan."
    )
    resized: Share = Field(
        default=0.5, description="Of the iterations, with a pathology of --masks shrunk or enlarged by up to 15%."
    )
    halved: Share = Field(default=0.2, description="Low-resolution patches at half their resolution; 0.2 in the paper.")

    @field_validator("doublings")
    @classmethod
    def _ends(cls, doublings: int, info: Any) -> int:
        if info.data.get("lr_size", 0) << doublings > LARGEST:
            raise ValueError(f"the finest scale would be larger than {LARGEST}")
        return doublings

    @field_validator("axes")
    @classmethod
    def _span_space(cls, axes: str) -> str:
        if not spans_space(axes):
            raise ValueError("three letters, one of each pair R/L, A/P, S/I, such as RAS")
        return axes

    @field_validator("window")
    @classmethod
    def _has_width(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not (all(map(math.isfinite, window)) and window[1] - window[0] >= FEWEST_LEVELS):
            raise ValueError(f"two finite numbers, the second larger by {FEWEST_LEVELS:g} or more")
        return window

    @property
    def network(self) -> MEGANSizes:
        """The cascade and how its edges are drawn, in training and later."""
        hr = ScaleSizes(width=self.hr_width, blocks=self.hr_blocks)
        return MEGANSizes(
            lr=ScaleSizes(width=self.lr_width, blocks=self.lr_blocks),
            hr=[hr] * self.doublings,
            lr_size=self.lr_size,
            adds_coarse=self.adds_coarse,
            skips=self.skips,
            blends=self.blends,
            edges=EdgeSizes(power=self.edge_power),
        )
