"""What a run of the bone paper's families is: its sizes, its schedule, its rates. The defaults are the paper's."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from model_store.sizes.progressive import Shape, stage_channels, stage_shape
from training.engine.config import RUNNING, Asked, CourseConfig, Positive, StartingConfig, Whole
from training.progressive.schedule import Schedule


class ProgressiveConfig(StartingConfig):
    """What 3D-ProGAN and 3D-StyleGAN share (section 3.2, appendix B, table 1)."""

    base: Annotated[tuple[Whole, Whole, Whole], Asked(metavar="B0 B1 B2")] = Field(
        default=(1, 9, 7), description="Grid that the stages double; 1 9 7 in the paper, 32 x 288 x 224 after five."
    )
    stages: int = Field(default=5, ge=1, le=8, description="5 in the paper: the volume is the base times 32.")
    channels: int = Field(default=16, ge=1, description="c, of the generator's last stage; 16 or 20 in the paper.")
    critic_channels: int = Field(default=16, ge=1, description="c of the critic; 12 to 20 in the paper.")
    z_dim: int = Field(default=512, ge=1, description="512 in the paper.")
    iterations: Annotated[int, RUNNING] = Field(
        default=0, ge=0, description="Generator updates after which to stop; 0: at the schedule's end."
    )
    batch_size: int = Field(default=3, ge=1, description="Of the last stage; earlier ones have up to 8 times as much.")
    """24, 24, 12, 6, 3."""
    stage_samples: int = Field(
        default=180_000, ge=1, description="Scans that the critic sees in each half stage; 180000 in the paper."
    )
    critic_steps: int = Field(
        default=6, ge=1, description="n_c: critic updates for each one of the generator; 5 to 8 in the paper."
    )
    learning_rate: Positive = Field(default=2e-3, description="On the first stage; 0.002 to 0.006 in the paper.")
    stage_decay: float = Field(default=0.85, gt=0, le=1, description="Factor of the learning rates at each new stage.")
    average: float = Field(default=0.999, ge=0, lt=1, description="Decay of the moving average that is exported.")

    @property
    def shape(self) -> Shape:
        """Of the finished volumes."""
        return stage_shape(self.base, self.stages)

    @property
    def sides(self) -> Shape:
        return self.shape

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
        return Schedule(self.stages, self.stage_samples, self.effective_batch, self.critic_steps, self.stage_decay)


class ProGANConfig(ProgressiveConfig):
    """3D-ProGAN of the bone paper (Angermann et al., 2023), progressively grown, by default with its settings."""

    name: Annotated[str, RUNNING] = Field(default="progan", description="Of the trained model.")
    family: Literal["progan"] = "progan"


class StyleGANConfig(ProgressiveConfig):
    """3D-StyleGAN of the bone paper (Angermann et al., 2023), progressively grown, by default with its settings."""

    name: Annotated[str, RUNNING] = Field(default="stylegan", description="Of the trained model.")
    family: Literal["stylegan"] = "stylegan"
    w_dim: int = Field(default=512, ge=1, description="512 in the paper's text.")
    mapping_layers: int = Field(default=6, ge=1, description="6 in the paper.")
    mapping_rate: Positive = Field(default=0.02, description="Factor of the mapping network's learning rate.")


class EncoderConfig(CourseConfig):
    """Give a trained ProGAN or StyleGAN the encoder of the bone paper; scans come to it as its card says."""

    # Section 3.5.

    model: Annotated[Path, Asked(must_exist=True)] = Field(
        description="Folder of a progan or stylegan model; it is not changed."
    )
    name: Annotated[str, RUNNING] = Field(
        default_factory=str, description="Of the model with its encoder; the model's own without it."
    )
    family: Literal["encoder"] = "encoder"
    iterations: Annotated[int, RUNNING] = Field(default=10_000, ge=1, description="Updates of the encoder.")
    batch_size: int = Field(default=3, ge=1, description="Scans in each of them.")
    learning_rate: Positive = Field(default=3e-3, description="0.003 in the paper.")

    @model_validator(mode="before")
    @classmethod
    def _named_like_the_model(cls, values: Any) -> Any:
        if isinstance(values, dict) and "name" not in values and "model" in values:
            return values | {"name": Path(values["model"]).resolve().name}
        return values
