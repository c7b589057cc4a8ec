"""The neutral grid on which two folders are compared, where no model says another."""

from pathlib import Path

import numpy as np

from evaluation.errors import EvaluationRefused
from evaluation.samples import extent_of, opened, scans_in
from volumes.scan import Preparation
from volumes.volume import VolumeError

FEWEST, MOST = 32, 128
LOOKED_AT = 25
"""Scans whose fields of view are looked at for the neutral grid."""


def neutral(reference: Path) -> Preparation:
    """The whole field of view on a cube, each scan by its own quantiles. As many voxels a side as the reference has
    along its longest, up to 128; their size is that of its median field of view. Raises: EvaluationRefused."""
    extents, sides = [], []
    for path in scans_in(reference)[:LOOKED_AT]:
        try:
            scan = opened(path)
        except VolumeError as err:
            raise EvaluationRefused(f"{path.name}: {err.detail}") from err
        extents.append(extent_of(scan))
        sides.append(max(scan.shape))
    side = int(np.clip(np.median(sides), FEWEST, MOST))
    x, y, z = (float(edge) / side for edge in np.median(extents, axis=0))
    return Preparation(shape=(side,) * 3, axes="RAS", spacing_mm=(x, y, z), network_range=(0.0, 1.0))
