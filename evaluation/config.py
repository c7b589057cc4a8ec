"""What an evaluation is asked: no torch, the command line makes one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

NUM_SAMPLES = 512
"""As the HA-GAN paper's plot of features has them (figure 4)."""
FeaturesName = Literal["distortion", "random", "own", "astra", "medicalnet"]


@dataclass(frozen=True)
class EvaluationConfig:
    """Two sets of volumes, and how they are to be compared."""

    reference: Path
    out: Path
    generated: Path | None = None
    """A folder; None: the model makes them."""
    train: Path | None = None
    """The scans that the model was trained on; None: memorisation is looked for among the reference."""
    num_samples: int = NUM_SAMPLES
    class_label: int | str | None = None
    """None: the classes of a conditional model in turn."""
    truncation: float | None = None
    """None: the card's."""
    features: FeaturesName = "distortion"
    weights: Path | None = None
    """The file of `medicalnet`."""
    seed: int = 0
    """Sample k is that of seed + k; also of every draw of the measures."""
    device: str = "cpu"
