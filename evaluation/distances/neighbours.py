"""Measures by nearest neighbours: precision, recall, density, coverage, and the realism of one volume."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.distances.frechet import Features

PRECISION_K = 3
"""Kynkaanniemi et al. 2019, section 3: the value of their experiments."""
DENSITY_K = 5
"""Naeem et al. 2020, section 3."""
MOST_REALISM = 1000.0
"""What a volume gets that lies on a reference volume, whose distance of 0 nothing can be divided by."""
Distances = NDArray[np.float64]


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


def distances(x: Features, y: Features) -> Distances:
    """Euclidean, (n, d), (m, d) -> (n, m): by differences, so that equal rows are exactly 0 apart."""
    return np.stack([np.sqrt(((y - row) ** 2).sum(axis=1)) for row in np.asarray(x, np.float64)])


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


def kth(own: Distances, k: int) -> Distances:
    """(n,): the distance of each point of a set to its k-th neighbour in it, itself not counted."""
    if len(own) <= k:
        raise ValueError(f"{len(own)} points have no neighbour number {k}")
    ranked: Distances = np.sort(own, axis=1)[:, k]  # column 0 is the point itself
    return ranked


def expected_coverage(n: int, m: int, k: int = DENSITY_K) -> float:
    """Of two sets of one distribution: 1 - the chance that all k nearest of a point's n - 1 + m others are its own."""
    chance = 1.0
    for j in range(k):
        chance *= (n - 1 - j) / (n - 1 + m - j)
    return 1 - chance


def realism(reference: Features, volumes: Features, k: int = PRECISION_K) -> NDArray[np.float64]:
    """(m,): Kynkaanniemi et al. 2019, equation 3. The largest (radius of a reference volume's ball) / (distance to it),
    over the half of the balls that are not larger than the median. From 1 on a volume lies in one of these balls."""
    radii = kth(distances(reference, reference), k)
    kept = radii <= np.median(radii)
    across = distances(volumes, reference[kept])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = radii[kept][None] / across
    ratios[across == 0] = MOST_REALISM
    found: NDArray[np.float64] = np.minimum(ratios.max(axis=1), MOST_REALISM)
    return found
