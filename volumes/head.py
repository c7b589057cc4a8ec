"""Finding the head in a scan: the largest object that stands out from the background."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumes.volume import Volume, VolumeError


def foreground_points_mm(volume: Volume, step_mm: float = 2.0) -> NDArray[np.float64]:
    """RAS+ mm (n, 3) of the largest bright object of a scan, on a grid thinned to about `step_mm`."""
    steps = [max(1, round(step_mm / size)) for size in volume.spacing_mm]
    thin = np.asarray(volume.array[tuple(slice(None, None, step) for step in steps)], dtype=np.float32)
    mask = np.nan_to_num(thin, nan=-np.inf) > _otsu_threshold(thin)
    labels, count = ndimage.label(ndimage.binary_opening(mask))
    if not count:
        raise VolumeError("No head stands out from the background of the scan.")
    sizes = np.bincount(labels.ravel())[1:]
    index = np.argwhere(labels == 1 + int(np.argmax(sizes))) * np.array(steps)
    points: NDArray[np.float64] = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return points


def _otsu_threshold(values: NDArray[np.float32]) -> float:
    """The intensity that parts dark from bright with the greatest variance between the two (Otsu 1979)."""
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        raise VolumeError("The scan has the same value everywhere.")
    low, high = np.quantile(finite, (0.0, 0.995))
    counts, edges = np.histogram(np.clip(finite, low, high), bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = finite.size - below
    sum_below = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sum_below / below - (sum_below[-1] - sum_below) / above) ** 2
    return float(centres[np.nanargmax(between[:-1])])
