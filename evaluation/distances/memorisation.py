"""Whether generated volumes are copies of training scans: each one's nearest, and how near scans are to each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.distances.frechet import Features
from model_store.features.neighbours import distances, kth

QUANTILE = 0.05
SIDE = 32
"""Voxels along a side where volumes are compared voxel by voxel: what features may be blind to."""


@dataclass(frozen=True)
class Nearest:
    """Of each volume (m,)."""

    index: NDArray[np.intp]
    distance: NDArray[np.float64]
    is_nearer: NDArray[np.bool_]
    """Than that scan is to the scan nearest to it, as a copy is."""


def nearest(training: Features, volumes: Features) -> Nearest:
    """Raises: ValueError, with fewer than 2 scans."""
    across = distances(volumes, training)
    index = across.argmin(axis=1)
    distance = across[np.arange(len(across)), index]
    return Nearest(index, distance, distance < kth(distances(training, training), 1)[index])


def threshold(training: Features, others: Features | None = None) -> float:
    """The distance under which a volume counts as a copy: the 5% quantile of how near each of `others`, scans that the
    model has not seen, is to a training scan; without any, of how near the training scans are to each other."""
    near = kth(distances(training, training), 1) if others is None else distances(others, training).min(axis=1)
    return float(np.quantile(near, QUANTILE))


def correlations(training: NDArray[np.float64], volumes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's, of voxels: (n, v), (m, v) -> (m, n)."""
    found: NDArray[np.float64] = _standard(volumes) @ _standard(training).T
    return found


def _standard(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    standard: NDArray[np.float64] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return standard
