"""CUDA as torch sees it."""

import torch


def device_count() -> int:
    """0 where there is none, or none that torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
