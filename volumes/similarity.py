"""How alike two volumes are: PSNR, SSIM and MAE over all voxels, without a float64 copy of either."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumes.volume import Array

SIDE = 7
"""Voxels of SSIM's cubic window, as in Wang et al. 2004's implementations with a uniform window."""
K1, K2 = 0.01, 0.03
SLAB = 24

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def mae(a: Array, b: Array) -> float:
    """Mean absolute difference of two arrays (X, Y, Z)."""
    return sum(float(np.abs(x - y).sum()) for x, y in _slabs(a, b, 0)) / a.size


def psnr(a: Array, b: Array, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB of two arrays (X, Y, Z); infinite where they are equal."""
    error = sum(float(np.square(x - y).sum()) for x, y in _slabs(a, b, 0)) / a.size
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def ssim(a: Array, b: Array, data_range: float, threads: int = 1, where: NDArray[np.bool_] | None = None) -> float:
    """Mean structural similarity of two arrays (X, Y, Z) over all 7^3 windows inside (Wang et al. 2004, eq. 13), the
    same for any number of threads.

    Args:
        where: (X, Y, Z), which windows count, by their middle; None: all.

    Raises:
        ValueError: a side shorter than the window, or no window that counts.
    """
    if min(a.shape) < SIDE:
        raise ValueError(f"SSIM needs sides of at least {SIDE} voxels, got {a.shape}")
    rim = SIDE // 2
    counted = None if where is None else where[rim:-rim, rim:-rim, rim:-rim]
    windows = int(np.prod(np.array(a.shape) - 2 * rim)) if counted is None else int(np.count_nonzero(counted))
    if not windows:
        raise ValueError("no window of SSIM counts")

    def inside_sum(start: int) -> float:
        found = _similarities(*_slab(a, b, rim, start), data_range)[rim:-rim]
        if counted is not None:
            found = found[counted[start - rim : start - rim + len(found)]]
        return float(found.sum())

    with ThreadPoolExecutor(threads) as pool:  # numpy and scipy leave the interpreter's lock while they filter
        total = sum(pool.map(inside_sum, _starts(a, b, rim)))
    return total / windows


def _slabs(a: Array, b: Array, rim: int) -> Iterator[Pair]:
    """Slabs of both along X as float64, which with a rim overlap so that their insides follow on each other."""
    return (_slab(a, b, rim, start) for start in _starts(a, b, rim))


def _starts(a: Array, b: Array, rim: int) -> range:
    """Where the insides of the slabs start."""
    if a.shape != b.shape:
        raise ValueError(f"the shapes differ: {a.shape} and {b.shape}")
    return range(rim, a.shape[0] - rim, SLAB)


def _slab(a: Array, b: Array, rim: int, start: int) -> Pair:
    part = slice(start - rim, min(start + SLAB, a.shape[0] - rim) + rim)
    return a[part].astype(np.float64), b[part].astype(np.float64)


def _similarities(x: NDArray[np.float64], y: NDArray[np.float64], data_range: float) -> NDArray[np.float64]:
    """SSIM of each window inside on the last two axes, with the unbiased (co)variances of skimage."""
    inside = (slice(None), slice(SIDE // 2, -(SIDE // 2)), slice(SIDE // 2, -(SIDE // 2)))

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        smooth: NDArray[np.float64] = ndimage.uniform_filter(values, SIDE)[inside]
        return smooth

    unbiased = SIDE**3 / (SIDE**3 - 1)
    mean_x, mean_y = mean(x), mean(y)
    variances = unbiased * (mean(x * x + y * y) - mean_x**2 - mean_y**2)  # only their sum is needed
    covariance = unbiased * (mean(x * y) - mean_x * mean_y)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    similarity: NDArray[np.float64] = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    return similarity
