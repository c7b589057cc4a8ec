"""Measurements of a volume in stored units, such as directions are fitted to."""

import math
from typing import Literal

import numpy as np

from volumes.volume import Volume

MeasureName = Literal["volume_above", "volume_below", "mean_intensity"]


def measure(volume: Volume, name: MeasureName, threshold: float | None = None) -> float:
    """mL of voxels above or below a threshold, or the mean of all voxels in the volume's own units.

    Raises:
        ValueError: a volume measurement without a threshold.
    """
    values = np.asarray(volume.array, dtype=np.float32)
    if name == "mean_intensity":
        return float(values.mean(dtype=np.float64))
    if threshold is None:
        raise ValueError(f"{name} needs a threshold")
    inside = values > threshold if name == "volume_above" else values < threshold
    return int(np.count_nonzero(inside)) * math.prod(volume.spacing_mm) / 1000
