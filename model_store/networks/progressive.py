"""Progressive growing: the sizes of stages 1 to N and the smooth transition between them (bone paper, section 3.2)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

MOST_CHANNELS = 8
"""Stages have at most 8 c channels."""

Shape = tuple[int, int, int]


def stage_channels(c: int, stages: int) -> list[int]:
    """Channels of stages 1 to N: c at the last, twice that at each one before, up to 8 c (table A.2: 8, 8, 4, 2, 1)."""
    return [c * min(MOST_CHANNELS, 2 ** (stages - stage)) for stage in range(1, stages + 1)]


def stage_shape(base: Sequence[int], stage: int) -> Shape:
    """Edges of the volume at a stage; stage 0 is the base."""
    a0, a1, a2 = (edge * 2**stage for edge in base)
    return a0, a1, a2


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
