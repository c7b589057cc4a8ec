"""In which precision the convolutions and matrix products of a run are computed (docs/decisions/0053)."""

import torch
from torch.amp.autocast_mode import autocast

from model_store.load import Precision


def forward_precision(device: str, precision: Precision) -> autocast:
    """Around what networks make and say in a loss. What follows, and every gradient's gradient, is float32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")


def exact(x: torch.Tensor) -> autocast:
    """Inside `forward_precision`, for penalties on gradients: float32 on the device of `x`."""
    return torch.autocast(x.device.type, enabled=False)
