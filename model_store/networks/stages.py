"""Sizes of a progressively grown network's stages 1 to N (bone paper, section 3.2). No torch: settings know them."""

from collections.abc import Sequence

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
