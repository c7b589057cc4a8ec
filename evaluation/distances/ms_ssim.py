"""MS-SSIM of two volumes (Wang et al. 2003): between pairs of a set it says how alike they are, that is how few."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

WEIGHTS = (0.0448, 0.2856, 0.3001)
"""The paper's for its first three scales, made to sum to 1: a volume of 64 voxels a side has no five."""
SIDE = 64
WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03
PAIRS = 200


def ms_ssim(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]], data_range: float = 1.0) -> float:
    """Of two arrays (X, Y, Z) of at least 44 voxels a side, in float64: contrast and structure at three scales, each
    half of the one before, luminance at the last; means over all whole 11^3 windows, negative ones taken as 0."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or min(x.shape) < WINDOW * 2 ** (len(WEIGHTS) - 1):
        raise ValueError(f"expected two arrays of one shape, at least 44 a side, got {x.shape} and {y.shape}")
    product = 1.0
    for scale, weight in enumerate(WEIGHTS):
        structure, whole = _means(x, y, data_range)
        is_last = scale == len(WEIGHTS) - 1
        product *= max(whole if is_last else structure, 0.0) ** (weight / sum(WEIGHTS))
        x, y = _halved(x), _halved(y)
    return product


def _means(x: NDArray[np.float64], y: NDArray[np.float64], data_range: float) -> tuple[float, float]:
    """Mean contrast-structure, and mean SSIM (Wang et al. 2004, equation 13)."""
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x, variance_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float(structure.mean()), float((luminance * structure).mean())


def _windowed(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian means over the windows that lie inside."""
    rim = WINDOW // 2
    for axis in range(3):
        x = ndimage.gaussian_filter1d(x, SIGMA, axis=axis, radius=rim, mode="nearest")
    return x[rim:-rim, rim:-rim, rim:-rim]


def _halved(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 2^3 voxels; an odd last plane is left out."""
    a, b, c = (side // 2 for side in x.shape)
    mean: NDArray[np.float64] = x[: 2 * a, : 2 * b, : 2 * c].reshape(a, 2, b, 2, c, 2).mean(axis=(1, 3, 5))
    return mean


def pairs(count: int, seed: int, most: int = PAIRS) -> list[tuple[int, int]]:
    """At most `most` different pairs of 0 .. count - 1, drawn from the seed."""
    first, second = np.triu_indices(count, 1)
    chosen = np.random.default_rng([seed, count]).permutation(len(first))[:most]
    return [(int(first[k]), int(second[k])) for k in sorted(chosen)]
