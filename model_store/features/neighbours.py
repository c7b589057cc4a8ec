"""Nearest neighbours among features: how near points are, and the realism of one by the balls about others."""

import numpy as np
from numpy.typing import NDArray

REALISM_K = 3
"""Kynkaanniemi et al. 2019, section 3: the value of their experiments."""
FEWEST_REALISM = 8
"""Scans, for balls about them to mean anything."""
MOST_REALISM = 1000.0
"""What a volume gets that lies on a reference volume, whose distance of 0 nothing can be divided by."""

Features = NDArray[np.float64]
"""(n, d)."""
Distances = NDArray[np.float64]


def distances(x: Features, y: Features) -> Distances:
    """Euclidean, (n, d), (m, d) -> (n, m): by differences, so that equal rows are exactly 0 apart."""
    return np.stack([np.sqrt(((y - row) ** 2).sum(axis=1)) for row in np.asarray(x, np.float64)])


def kth(own: Distances, k: int) -> Distances:
    """(n,): the distance of each point of a set to its k-th neighbour in it, itself not counted."""
    if len(own) <= k:
        raise ValueError(f"{len(own)} points have no neighbour number {k}")
    ranked: Distances = np.sort(own, axis=1)[:, k]  # column 0 is the point itself
    return ranked


def realism_within(radii: NDArray[np.float64], across: Distances) -> NDArray[np.float64]:
    """(m,): Kynkaanniemi et al. 2019, equation 3, of points at distances `across` (m, n) from a reference whose balls
    have `radii` (n,): the largest radius / distance over the half of the balls that are not larger than the median."""
    kept = radii <= np.median(radii)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = radii[kept][None] / across[:, kept]
    ratios[across[:, kept] == 0] = MOST_REALISM
    found: NDArray[np.float64] = np.minimum(ratios.max(axis=1), MOST_REALISM)
    return found
