"""Finding the head in a scan: the large objects that stand out from the background."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumes.volume import Volume, VolumeError

FOREGROUND = 0.25
"""Where the foreground begins on the way from the background's median to the tissue's."""
LEAST_PART = 0.1
"""An object counts when it has this share of the largest one: a scalp apart from the brain, but no frame."""


def foreground_points_mm(volume: Volume, step_mm: float = 2.0) -> NDArray[np.float64]:
    """RAS+ mm (n, 3) of the large bright objects of a scan, on a grid thinned to about `step_mm`.

    Raises:
        VolumeError: the same value everywhere, so that nothing stands out.
    """
    steps = [max(1, round(step_mm / size)) for size in volume.spacing_mm]
    thin = np.array(volume.array[tuple(slice(None, None, step) for step in steps)], dtype=np.float32)
    finite = thin[np.isfinite(thin)]
    if not finite.size or finite.min() == finite.max():
        raise VolumeError("The scan has the same value everywhere.")
    np.nan_to_num(thin, copy=False, nan=finite.min(), posinf=finite.max(), neginf=finite.min())
    parting = _otsu_threshold(thin)
    dark, bright = float(np.median(thin[thin <= parting])), float(np.median(thin[thin > parting]))
    # The scalp is a thin bright shell apart from the brain: smoothing instead of opening removes noise and keeps it,
    # and the threshold lies nearer to the background than to the tissue for the same reason.
    smooth = ndimage.gaussian_filter(thin, 1.0)
    labels, count = ndimage.label(smooth > dark + FOREGROUND * (bright - dark))
    if not count:
        raise VolumeError("No head stands out from the background of the scan.")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    index = np.argwhere((sizes >= LEAST_PART * sizes.max())[labels]) * np.array(steps)
    points: NDArray[np.float64] = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return points


def _otsu_threshold(values: NDArray[np.float32]) -> float:
    """The intensity that parts dark from bright with the greatest variance between the two (Otsu 1979)."""
    low, high = float(values.min()), float(np.quantile(values, 0.995))
    if not low < high:
        return low  # all but a few voxels are background
    counts, edges = np.histogram(np.clip(values, low, high), bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    sums = np.cumsum(counts * centres)
    between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1 + np.argmax(between)])
