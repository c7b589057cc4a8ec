"""How far a measure moves with the samples: by subsampling, where a bootstrap's repeated points would change it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.distances.frechet import Features

DRAWS = 20
RESAMPLES = 1000
Measure = Callable[[Features, Features], float]


@dataclass(frozen=True)
class Spread:
    """Of a measure over draws: the lowest and the highest of the middle 95%, and the median."""

    n: int
    """Volumes a side."""
    low: float
    median: float
    high: float
    draws: int


def subsampled(measure: Measure, reference: Features, generated: Features, n: int, seed: int) -> Spread:
    """Of n of each side without replacement: distances of few samples are biased alike at one n, so that this and the
    floor can be held against each other."""
    generator = np.random.default_rng([seed, n, 1])
    found = []
    for _ in range(DRAWS):
        one, other = generator.permutation(len(reference))[:n], generator.permutation(len(generated))[:n]
        found.append(measure(reference[one], generated[other]))
    return _spread(found, n)


def floor(measure: Measure, reference: Features, seed: int, n: int) -> Spread:
    """Between n volumes of the reference and n others of it: what real volumes get against real ones."""
    generator = np.random.default_rng([seed, n, 2])
    found = []
    for _ in range(DRAWS):
        order = generator.permutation(len(reference))
        found.append(measure(reference[order[:n]], reference[order[n : 2 * n]]))
    return _spread(found, n)


def bootstrapped(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """The 95% percentile interval of the mean of independent values."""
    generator = np.random.default_rng([seed, len(values), 3])
    means = values[generator.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _spread(found: list[float], n: int) -> Spread:
    low, median, high = np.quantile(found, (0.025, 0.5, 0.975))
    return Spread(n, float(low), float(median), float(high), len(found))
