"""Style mixing: the coarse layers of one sample with the fine layers of another."""

import torch
from torch import Tensor


def mix(source: Tensor, target: Tensor, crossover: int) -> Tensor:
    """The source's styles in the first `crossover` layers, the target's in the rest (bone paper, section 4.3).

    Both (num_styles, w_dim); 0 gives the target, num_styles the source.

    Raises:
        ValueError: shapes disagree, or a crossover out of 0..num_styles.
    """
    if source.ndim != 2 or source.shape != target.shape:
        raise ValueError(f"mixing needs two (num_styles, w_dim), got {tuple(source.shape)} and {tuple(target.shape)}")
    if not 0 <= crossover <= len(source):
        raise ValueError(f"crossover must lie in 0..{len(source)}, got {crossover}")
    return torch.cat([source[:crossover], target[crossover:]])
