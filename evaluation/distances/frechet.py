"""The Frechet distance of two sets of features (Heusel et al. 2017), and what it would be with infinitely many."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]
"""(n, d): one row per volume."""
SIZES = 8
DRAWS = 5
"""Subsets of each size, whose mean goes into the line."""
FEWEST_FOR_A_LINE = 16


def frechet(x: Features, y: Features) -> float:
    """|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)), in float64.

    The last trace is real by construction: the sum of the singular values of Xc Yc^T / sqrt((n - 1)(m - 1)), n x m,
    which needs no d x d matrix and holds at any rank; with more volumes than features, those of S1^(1/2) S2^(1/2).

    Raises:
        ValueError: fewer than 2 rows, or sets of unlike features.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if min(len(x), len(y)) < 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"expected two sets (n, d) of at least 2 rows, got {x.shape} and {y.shape}")
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    spread = (xc**2).sum() / (len(x) - 1) + (yc**2).sum() / (len(y) - 1)
    offset = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
    return float(max(offset + spread - 2 * _trace(xc, yc), 0.0))


def _trace(xc: Features, yc: Features) -> float:
    """tr((S1 S2)^(1/2)) of two centred sets."""
    scale = np.sqrt((len(xc) - 1) * (len(yc) - 1))
    if max(len(xc), len(yc)) > xc.shape[1]:
        one, other = _root(xc), _root(yc)
        return float(np.linalg.svd(one @ other, compute_uv=False).sum() / scale)
    return float(np.linalg.svd(xc @ yc.T, compute_uv=False).sum() / scale)


def _root(centred: Features) -> Features:
    """(Xc^T Xc)^(1/2), (d, d); eigenvalues that rounding made negative count as 0."""
    values, vectors = np.linalg.eigh(centred.T @ centred)
    root: Features = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


@dataclass(frozen=True)
class Extrapolation:
    """The line that the distance follows in 1 / n."""

    at_infinity: float
    slope: float
    sizes: tuple[int, ...]


def extrapolated(x: Features, y: Features, seed: int) -> Extrapolation | None:
    """The distance at `SIZES` sizes between half of the smaller set and all of it, and the straight line's value at
    1 / n = 0 (Chong and Forsyth 2020), where the bias of few samples is gone. None with too few volumes for a line."""
    most = min(len(x), len(y))
    if most < FEWEST_FOR_A_LINE:
        return None
    sizes = np.unique(np.linspace(most // 2, most, SIZES).round().astype(int))
    generator = np.random.default_rng([seed, most])
    found = [_at(x, y, int(size), generator) for size in sizes]
    slope, at_infinity = np.polyfit(1 / sizes, found, 1)
    return Extrapolation(float(at_infinity), float(slope), tuple(int(size) for size in sizes))


def _at(x: Features, y: Features, size: int, generator: np.random.Generator) -> float:
    draws = [
        frechet(x[generator.permutation(len(x))[:size]], y[generator.permutation(len(y))[:size]]) for _ in range(DRAWS)
    ]
    return float(np.mean(draws))
