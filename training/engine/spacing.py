"""The size in mm of what a trained model makes: a head stays a head, on whatever grid."""

from collections.abc import Sequence

import numpy as np

from training.engine.data import Spacing
from training.engine.survey import Survey, middle_extent
from volumes.orientation import in_network_order

SAME = 0.01
"""Voxel sizes within this share of each other are the same."""
DIGITS = 4


def box_spacing(survey: Survey, sides: tuple[int, int, int], axes: str) -> float:
    """Edge in mm of cubic voxels that hold the scans' median field of view in a box at the head."""
    extent = in_network_order(middle_extent(list(survey.scans.values())), axes)
    return round(max(length / side for length, side in zip(extent, sides, strict=True)), DIGITS)


def middle_spacing(spacings: Sequence[Spacing]) -> Spacing:
    """Of the grid's voxels over each scan, the median of each axis."""
    a0, a1, a2 = (round(edge, DIGITS) for edge in np.median(spacings, axis=0).tolist())
    return a0, a1, a2


def is_nominal(spacings: Sequence[Spacing], chosen: Spacing) -> bool:
    """Whether a scan's own voxels on the grid are of another size than the card says."""
    return bool((np.abs(np.array(spacings) / np.array(chosen) - 1) > SAME).any())
