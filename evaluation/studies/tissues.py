"""Lung and bone of a thorax CT by thresholds, as HA-GAN's paper measures bone (section IV-E)."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AIR_HU = -500.0
"""Between lung and soft tissue, which the partial volumes of their border share out evenly."""
BONE_HU = 150.0
IN_PLANE = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])[:, :, None] * np.array([0, 1, 0])
"""Neighbours along X and Y alone."""
Spacing = tuple[float, float, float]


def lung_ml(hu: NDArray[np.float32], spacing_mm: Spacing) -> float:
    """Air (X, Y, Z) that no path through the air of its axial slice joins to the volume's sides: not what is around a
    patient."""
    parts, _ = ndimage.label(hu < AIR_HU, IN_PLANE)
    sides = np.concatenate([parts[[0, -1]].ravel(), parts[:, [0, -1]].ravel()])
    inside = (parts > 0) & ~np.isin(parts, np.unique(sides))
    return _ml(inside, spacing_mm)


def bone_ml(hu: NDArray[np.float32], spacing_mm: Spacing) -> float:
    """All of (X, Y, Z) that is denser than BONE_HU."""
    return _ml(hu > BONE_HU, spacing_mm)


def _ml(mask: NDArray[np.bool_], spacing_mm: Spacing) -> float:
    return float(mask.sum()) * float(np.prod(spacing_mm)) / 1000
