"""In which precision the convolutions and matrix products of a run are computed (docs/decisions/0053)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch.amp.autocast_mode import autocast

from model_store.load import Precision, emulates_bfloat16


def forward_precision(device: str, precision: Precision) -> autocast:
    """Around what networks make and say in a loss. What follows, and every gradient's gradient, is float32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")


def precision_here() -> Literal["float32", "bfloat16"]:
    """Of the recipes of the shipped models, on the CPU: bfloat16, unless this processor would emulate it."""
    return "float32" if emulates_bfloat16("cpu") else "bfloat16"


def forward_here() -> autocast:
    """`forward_precision` of those recipes."""
    return forward_precision("cpu", precision_here())


def exact(x: torch.Tensor) -> autocast:
    """Inside `forward_precision`, for penalties on gradients: float32 on the device of `x`."""
    return torch.autocast(x.device.type, enabled=False)


@dataclass(frozen=True)
class PrecisionChosen:
    """What the run's precision is worth on its device, for people."""

    device: str
    precision: Precision

    def lines(self) -> Iterator[str]:
        """None."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        """One, where an iteration takes many times as long as in float32."""
        if self.precision == "bfloat16" and emulates_bfloat16(self.device):
            yield (
                f"{self.device} here emulates bfloat16: an iteration can take 50 times as long as with "
                "--precision float32"
            )
