"""Measures by nearest neighbours: precision, recall, density, coverage, and the realism of one volume."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.distances.frechet import Features
from model_store.features.neighbours import REALISM_K, distances, kth, realism_within

PRECISION_K = REALISM_K
DENSITY_K = 5
"""Naeem et al. 2020, section 3."""


@dataclass(frozen=True)
class Manifold:
    """How two sets lie in each other."""

    precision: float
    """Share of generated volumes that lie in a ball about a reference volume, to its k-th neighbour."""
    recall: float
    """The same with the sets exchanged."""
    density: float
    """Mean number of such balls that a generated volume lies in, over k."""
    coverage: float
    """Share of the reference volumes whose ball has a generated one in it."""


def manifold(reference: Features, generated: Features, k: int = PRECISION_K, density_k: int = DENSITY_K) -> Manifold:
    """Kynkaanniemi et al. 2019, equations 1 and 2, and Naeem et al. 2020, equations 3 and 4.

    Raises:
        ValueError: fewer volumes than neighbours.
    """
    across = distances(reference, generated)
    own, other = distances(reference, reference), distances(generated, generated)
    balls = across <= kth(own, density_k)[:, None]
    return Manifold(
        precision=float((across <= kth(own, k)[:, None]).any(axis=0).mean()),
        recall=float((across <= kth(other, k)[None]).any(axis=1).mean()),
        density=float(balls.sum(axis=0).mean() / density_k),
        coverage=float(balls.any(axis=1).mean()),
    )


def expected_coverage(n: int, m: int, k: int = DENSITY_K) -> float:
    """Of two sets of one distribution: 1 - the chance that all k nearest of a point's n - 1 + m others are its own."""
    chance = 1.0
    for j in range(k):
        chance *= (n - 1 - j) / (n - 1 + m - j)
    return 1 - chance


def realism(reference: Features, volumes: Features, k: int = REALISM_K) -> NDArray[np.float64]:
    """(m,): Kynkaanniemi et al. 2019, equation 3. From 1 on a volume lies in a ball about a reference volume."""
    return realism_within(kth(distances(reference, reference), k), distances(volumes, reference))
