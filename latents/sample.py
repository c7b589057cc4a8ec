"""Drawing latents: a Gaussian vector is a deterministic function of its seed, and of nothing else."""

import torch
from torch import Tensor

from latents.truncate import cut_normal


def gaussian(seed: int, length: int, truncation: float | None = None) -> Tensor:
    """z ~ N(0, I), float32 (length,), drawn on the CPU whatever the device of the model.

    `truncation` cuts the distribution at +-level (Karras et al. 2018; bone paper, section 4.1). The cut vector is a
    function of the uncut one, so a seed names the same volume at every level, only tamer.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    generator = torch.Generator(device="cpu").manual_seed(seed)
    z = torch.randn(length, generator=generator, dtype=torch.float32)
    return z if truncation is None else cut_normal(z, truncation)
