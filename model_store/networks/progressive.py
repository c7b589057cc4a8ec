"""Progressive growing: the smooth transition between stages, whose sizes are in stages.py (bone paper, section 3.2)."""

import torch.nn.functional as F
from torch import Tensor


def doubled(image: Tensor) -> Tensor:
    """Nearest-neighbour upsampling by 2."""
    return F.interpolate(image, scale_factor=2)


def halved(image: Tensor) -> Tensor:
    """Means of 2^3 blocks."""
    return F.avg_pool3d(image, 2)


def faded(old: Tensor, new: Tensor, alpha: float) -> Tensor:
    """The smooth transition: from the stage before (alpha 0) to the new one (alpha 1)."""
    return old + alpha * (new - old)


def check_stage(stage: int, stages: int, alpha: float) -> None:
    """Raises: ValueError, where there is no such stage or transition."""
    if not 1 <= stage <= stages:
        raise ValueError(f"expected a stage from 1 to {stages}, got {stage}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"expected alpha in [0, 1], got {alpha}")
