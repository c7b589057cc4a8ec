"""Volumes made worse by degrees: what every feature network has to notice, the more the worse."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Volume = NDArray[np.float32]
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def blurred(volume: Volume, strength: float) -> Volume:
    """Up to a Gaussian of 3 voxels."""
    return np.asarray(ndimage.gaussian_filter(volume, 3 * strength), np.float32) if strength else volume


def noisy(volume: Volume, strength: float) -> Volume:
    """Up to a standard deviation of 0.2, the same noise at every strength."""
    noise = np.random.default_rng(0).normal(0, 0.2, volume.shape)
    return np.clip(volume + strength * noise, 0, 1).astype(np.float32)


def shuffled(volume: Volume, strength: float) -> Volume:
    """A share of its 64 blocks change places."""
    side = volume.shape[0] // 4
    places = [(i, j, k) for i in range(4) for j in range(4) for k in range(4)]
    order = np.random.default_rng(1).permutation(64)[: round(64 * strength)]
    result = volume.copy()
    for here, there in zip(order, np.roll(order, 1), strict=True):
        one, other = (tuple(slice(side * a, side * (a + 1)) for a in places[k]) for k in (here, there))
        result[one] = volume[other]
    return result


def without_organ(volume: Volume, strength: float) -> Volume:
    """What lies in a growing ball about its middle becomes the mean of it."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, side) for side in volume.shape], indexing="ij"))
    inside = (grid**2).sum(0) < (0.7 * strength) ** 2
    return np.where(inside, volume.mean(), volume).astype(np.float32)


KINDS = {"blur": blurred, "noise": noisy, "shuffled patches": shuffled, "missing organ": without_organ}
