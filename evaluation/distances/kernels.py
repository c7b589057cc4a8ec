"""Maximum mean discrepancies: the cubic kernel of KID, and Gaussians of several widths as the HA-GAN paper has them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.distances.frechet import Features

SUBSETS, SUBSET = 100, 100
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Factors of the median bandwidth; the kernel is the mean of the five Gaussians."""
PERMUTATIONS = 200
Matrix = NDArray[np.float64]


def kid(x: Features, y: Features, seed: int) -> float:
    """The kernel distance of Binkowski et al. 2018: the unbiased squared discrepancy under (x.y / d + 1)^3, mean over
    100 subsets of at most 100 volumes a side. It may be negative, as an unbiased estimate of something near 0 is."""
    size = min(len(x), len(y), SUBSET)
    generator = np.random.default_rng([seed, size])
    count = 1 if size == len(x) == len(y) else SUBSETS
    found = []
    for _ in range(count):
        a, b = x[generator.permutation(len(x))[:size]], y[generator.permutation(len(y))[:size]]
        found.append(unbiased(cubic(a, a), cubic(b, b), cubic(a, b)))
    return float(np.mean(found))


def cubic(x: Features, y: Features) -> Matrix:
    """(n, d), (m, d) -> (n, m)."""
    kernel: Matrix = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def unbiased(xx: Matrix, yy: Matrix, xy: Matrix) -> float:
    """The U-statistic of three kernel matrices (Gretton et al. 2012, equation 3): no point is compared with itself."""
    n, m = len(xx), len(yy)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def biased(xx: Matrix, yy: Matrix, xy: Matrix) -> float:
    """The V-statistic (Gretton et al. 2012, equation 5): never negative, too large with few samples."""
    return float(xx.mean() + yy.mean() - 2 * xy.mean())


@dataclass(frozen=True)
class Discrepancy:
    """Under the mean of Gaussians exp(-|x - y|^2 / (2 (w s)^2)), w in `WIDTHS`."""

    unbiased: float
    biased: float
    bandwidth: float
    """s: the root of half the median squared distance between different points of the pooled sample."""
    p_value: float
    """Share of shuffles of the pooled sample whose unbiased value is at least as large, the sample itself counted."""


def gaussian(x: Features, y: Features, seed: int, permutations: int = PERMUTATIONS) -> Discrepancy:
    """Raises: ValueError, where all points are one."""
    pooled = np.concatenate([x, y])
    squares = squared_distances(pooled, pooled)
    apart = squares[np.triu_indices(len(pooled), 1)]
    median = float(np.median(apart[apart > 0])) if (apart > 0).any() else 0.0
    if median == 0:
        raise ValueError("all features are equal")
    kernel = np.mean([np.exp(-squares / (width**2 * median)) for width in WIDTHS], axis=0)
    own = _split(kernel, np.arange(len(pooled)), len(x))
    found = unbiased(*own)
    generator = np.random.default_rng([seed, len(pooled)])
    shuffled = [
        unbiased(*_split(kernel, generator.permutation(len(pooled)), len(x))) >= found for _ in range(permutations)
    ]
    return Discrepancy(found, biased(*own), float(np.sqrt(median / 2)), (1 + sum(shuffled)) / (1 + permutations))


def gaussian_value(x: Features, y: Features) -> float:
    """The unbiased value alone."""
    return gaussian(x, y, 0, permutations=0).unbiased


def _split(kernel: Matrix, order: NDArray[np.intp], n: int) -> tuple[Matrix, Matrix, Matrix]:
    one, other = order[:n], order[n:]
    return kernel[np.ix_(one, one)], kernel[np.ix_(other, other)], kernel[np.ix_(one, other)]


def squared_distances(x: Features, y: Features) -> Matrix:
    """(n, d), (m, d) -> (n, m), of points moved to a common middle so that little is lost to rounding."""
    middle = x.mean(axis=0)
    x, y = x - middle, y - middle
    squares: Matrix = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None] - 2 * (x @ y.T)
    return np.clip(squares, 0, None)
