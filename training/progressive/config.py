"""What a run of the bone paper's families is: its sizes, its schedule, its rates. The defaults are the paper's."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from model_store.networks.progressive import Shape, stage_channels, stage_shape
from training.engine.config import CourseConfig, Positive, RunConfig
from training.progressive.schedule import Schedule

Whole = Annotated[int, Field(ge=1)]


class ProgressiveConfig(RunConfig):
    """What 3D-ProGAN and 3D-StyleGAN share (section 3.2, appendix B, table 1)."""

    base: tuple[Whole, Whole, Whole] = (1, 9, 7)
    """The grid that the stages double: 32 x 288 x 224 after five."""
    stages: Annotated[int, Field(ge=1, le=8)] = 5
    channels: Whole = 16
    """c: of the generator's last stage."""
    critic_channels: Whole = 16
    z_dim: Whole = 512
    iterations: Annotated[int, Field(ge=0)] = 0
    """Updates of the generator after which to stop; 0: at the end of the schedule."""
    batch_size: Whole = 3
    """Of the last stage: 24, 24, 12, 6, 3."""
    stage_samples: Whole = 180_000
    critic_steps: Whole = 6
    """n_c: updates of the critic for each one of the generator."""
    learning_rate: Positive = 2e-3
    stage_decay: Annotated[float, Field(gt=0, le=1)] = 0.85
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the moving average that is exported."""
    start_from: Path | None = None
    """A model folder whose networks are the start, of the same sizes; training then begins with the last stage."""

    @property
    def shape(self) -> Shape:
        """Of the finished volumes."""
        return stage_shape(self.base, self.stages)

    @property
    def widths(self) -> list[int]:
        """Channels of each stage of the generator."""
        return stage_channels(self.channels, self.stages)

    @property
    def critic_widths(self) -> list[int]:
        """Channels of each stage of the critic."""
        return stage_channels(self.critic_channels, self.stages)

    @property
    def schedule(self) -> Schedule:
        """When the stages begin and end."""
        return Schedule(self.stages, self.stage_samples, self.batch_size, self.critic_steps, self.stage_decay)


class ProGANConfig(ProgressiveConfig):
    """3D-ProGAN."""

    name: str = "progan"
    family: Literal["progan"] = "progan"


class StyleGANConfig(ProgressiveConfig):
    """3D-StyleGAN."""

    name: str = "stylegan"
    family: Literal["stylegan"] = "stylegan"
    w_dim: Whole = 512
    mapping_layers: Whole = 6
    mapping_rate: Positive = 0.02
    """Factor of the mapping network's learning rate."""


class EncoderConfig(CourseConfig):
    """Training of an encoder for a finished generator (section 3.5). Its card says how scans come to the network."""

    model: Path
    """The folder of a progan or stylegan model; it is not changed."""
    iterations: Whole = 10_000
    batch_size: Whole = 3
    learning_rate: Positive = 3e-3
