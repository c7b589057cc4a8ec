"""Edges of a scan as MEGAN draws them (Uzunova et al. 2020, section 2.2): 3-D Canny, weighted by the gradient's
magnitude, as uint8 with a background of 0.

The authors took MATLAB's edge3 ('approxcanny', thresholds 0.1 and 0.2), which runs nowhere else. This is Canny's method
with the same thresholds: Gaussian of sqrt 2 voxels, central differences, non-maximum suppression along the gradient
with trilinear neighbours, hysteresis over 26 neighbours, both thresholds shares of the largest gradient. The weight is
theirs: root of the summed squares of scipy's Sobel filters, its range over the scan made [0, 1].

Each step sees a few voxels around its own, so that slabs with a halo give exactly what the whole volume would.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from volumes.intensity import Range, to_unit
from volumes.volume import Array, VolumeError

HALO = 8
"""Voxels: the Gaussian's radius 6, the difference 1, the neighbour along the gradient 1."""
SLAB_VOXELS = 1 << 22
LABELS = 5
"""Of a mask of pathologies: background and four kinds of tissue (BRATS)."""
_BESIDE = 2
"""Of the halo, what is left behind the Gaussian."""
_WEAK, _STRONG = 1, 2
_EQUAL = np.float32(1 + 1e-6)
"""Of two neighbours that are as steep but for rounding, the one down the gradient is the edge."""
_ALL_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Canny:
    """What decides where an edge is. sigma in voxels; low and high as shares of the scan's largest gradient."""

    sigma: float = math.sqrt(2)
    low: float = 0.1
    high: float = 0.2


def draw_edges(
    array: Array, how: Canny = Canny(), window: Range | None = None, threads: int = 1, slab: int | None = None
) -> Bytes:
    """(X, Y, Z) of any real type -> uint8 of the same shape, in C order: 0, or the weight where there is an edge.

    window: the scan's values that become 0 and 1; None takes its least and largest. slab: planes of X at a time. The
    result depends on neither slab nor threads.

    Raises:
        VolumeError: nothing in the scan stands out from anything.
    """
    scan = _Scan(array, window or finite_range(array), how, slab or max(1, SLAB_VOXELS // (array[0].size or 1)))
    with ThreadPoolExecutor(threads) as pool:  # scipy leaves the interpreter's lock while it filters
        extremes = list(pool.map(scan.extremes, scan.slabs()))
        steepest = max(gradient for gradient, _, _ in extremes)
        low, high = min(low for _, low, _ in extremes), max(high for _, _, high in extremes)
        if not (steepest > 0 and high > low):
            raise VolumeError("The scan has no edges: nothing in it stands out.")
        found = np.empty(array.shape, dtype=np.uint8)

        def suppress(where: slice) -> None:
            found[where] = scan.candidates(where, steepest)

        list(pool.map(suppress, scan.slabs()))
        connect(found, scan.depth)

        def weigh(where: slice) -> None:
            weight = (scan.magnitude(where) - low) / (high - low)
            found[where] = np.where(found[where] == _STRONG, weight * 255, 0)

        list(pool.map(weigh, scan.slabs()))
    if not found.any():
        raise VolumeError("The scan has no edges: nothing in it stands out.")
    return found


def with_mask(edges: Bytes, labels: Array) -> Bytes:
    """Edges with pathologies over them, as the paper places them: the larger of the edge and 64 * label - 1.

    labels (X, Y, Z): whole numbers 0 to 4, 0 where there is none.

    Raises:
        VolumeError: another shape, or other values.
    """
    if labels.shape != edges.shape:
        raise VolumeError("The mask and the scan differ in shape.")
    is_whole = np.isfinite(labels).all() and (labels == np.rint(labels)).all()
    if not (is_whole and labels.min() >= 0 and labels.max() < LABELS):
        raise VolumeError(f"The mask must hold whole numbers from 0 to {LABELS - 1}.")
    drawn = np.array([0, *(64 * label - 1 for label in range(1, LABELS))], dtype=np.uint8)
    return np.maximum(edges, drawn[labels.astype(np.uint8)])


def given_edges(array: Array) -> Bytes:
    """An edge image that was drawn elsewhere, as uint8.

    Raises:
        VolumeError: values outside 0..255, or nothing but background.
    """
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 255):
        raise VolumeError("An edge image has values from 0 to 255.")
    edges: Bytes = np.ascontiguousarray(array).astype(np.uint8)
    if not edges.any():
        raise VolumeError("The edge image is empty: it is 0 everywhere.")
    return edges


@dataclass(frozen=True, eq=False)
class _Scan:
    """A scan whose filters are computed a slab at a time."""

    array: Array
    window: Range
    how: Canny
    depth: int

    def slabs(self) -> Iterator[slice]:
        """Along X, one after another."""
        side = self.array.shape[0]
        return (slice(first, min(first + self.depth, side)) for first in range(0, side, self.depth))

    def extremes(self, where: slice) -> tuple[float, float, float]:
        """The largest gradient of the smoothed slab, and the least and largest Sobel magnitude."""
        sobel = self.magnitude(where)
        low, high = float(sobel.min()), float(sobel.max())
        del sobel
        smooth, inner = self._smooth(where)
        return float(_norm(_differences(smooth))[inner].max()), low, high

    def magnitude(self, where: slice) -> Float:
        """Sobel's gradient magnitude of the unsmoothed slab."""
        unit, inner = self._unit(where, 1)
        total = np.zeros_like(unit)
        for axis in range(3):
            total += np.square(ndimage.sobel(unit, axis))
        return np.sqrt(total[inner])

    def candidates(self, where: slice, steepest: float) -> Bytes:
        """1 where the slab's gradient is steeper than on both sides and above the low threshold, 2 above the high."""
        smooth, inner = self._smooth(where)
        slopes = _differences(smooth)
        steepness = _norm(slopes)
        found = np.zeros(steepness.shape, dtype=np.uint8)
        for plane in range(inner.start, inner.stop):  # one at a time: places and neighbours take 100 bytes a voxel
            inside = np.nonzero(steepness[plane] > self.how.low * steepest)
            at = (np.full(len(inside[0]), plane), *inside)
            is_peak = _stands_out(steepness, [slope[at] for slope in slopes], at)
            found[at] = np.where(is_peak, np.where(steepness[at] > self.how.high * steepest, _STRONG, _WEAK), 0)
        return found[inner]

    def _smooth(self, where: slice) -> tuple[Float, slice]:
        """The slab with what lies beside it for differences and neighbours, smoothed, and the slab's place in it."""
        unit, inner = self._unit(where, HALO)
        first = max(0, inner.start - _BESIDE)
        smooth = ndimage.gaussian_filter(unit, self.how.sigma, radius=HALO - 2)
        # Copied: the rest of the halo would stay in memory beside six arrays of this size.
        return smooth[first : inner.stop + _BESIDE].copy(), slice(inner.start - first, inner.stop - first)

    def _unit(self, where: slice, halo: int) -> tuple[Float, slice]:
        """The slab and a halo in [0, 1], and the slab's place in it."""
        first = max(0, where.start - halo)
        part = self.array[first : where.stop + halo]
        return to_unit(np.ascontiguousarray(part), *self.window), slice(where.start - first, where.stop - first)


def finite_range(array: Array) -> Range:
    """Least and largest finite value.

    Raises:
        VolumeError: there are not two.
    """
    ends = [_finite_ends(plane) for plane in array]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if not low < high:
        raise VolumeError("The scan has the same value everywhere, so that it has no edges.")
    return low, high


def _finite_ends(plane: Array) -> Range:
    finite = plane[np.isfinite(plane)]
    return (float(finite.min()), float(finite.max())) if finite.size else (math.inf, -math.inf)


def _differences(smooth: Float) -> list[Float]:
    """Central differences along each axis; at a face the volume goes on mirrored, so that nothing rises there."""
    return [ndimage.correlate1d(smooth, [-0.5, 0, 0.5], axis, mode="reflect") for axis in range(3)]


def _norm(slopes: list[Float]) -> Float:
    total = np.square(slopes[0])
    for slope in slopes[1:]:
        total += np.square(slope)
    return np.sqrt(total, out=total)


def _stands_out(steepness: Float, slopes: list[Float], at: tuple[NDArray[np.intp], ...]) -> NDArray[np.bool_]:
    """Whether the voxels `at` are as steep as the next step up the gradient and steeper than the next one down."""
    own = steepness[at]
    step = [slope / own for slope in slopes]
    up, down = _beside(steepness, step, at), _beside(steepness, [-along for along in step], at)
    return (own * _EQUAL >= up) & (own > down * _EQUAL)


def _beside(values: Float, step: list[Float], at: tuple[NDArray[np.intp], ...]) -> Float:
    """Trilinear values one step away from voxels. Weights come from the step alone, so a voxel's place cannot round."""
    low = [np.floor(along).astype(np.intp) for along in step]
    share = [along - floor for along, floor in zip(step, low, strict=True)]
    total = np.zeros(len(at[0]), dtype=np.float32)
    for corner in np.ndindex(2, 2, 2):
        weight = np.ones(len(at[0]), dtype=np.float32)
        index = []
        for axis, up in enumerate(corner):
            weight *= share[axis] if up else 1 - share[axis]
            index.append(np.clip(at[axis] + low[axis] + up, 0, values.shape[axis] - 1))
        total += weight * values[tuple(index)]
    return total


def connect(found: Bytes, depth: int) -> None:
    """Hysteresis, in place: a weak voxel that touches a strong one, by a chain of weak ones, becomes strong.

    Slabs of `depth` planes overlap by one; they are gone through up and down until nothing changes.
    """
    firsts = range(0, found.shape[0], depth)
    changed = True
    while changed:
        order = [*firsts, *reversed(firsts)]
        changed = sum(_grow(found[max(0, first - 1) : first + depth + 1]) for first in order) > 0


def _grow(part: Bytes) -> bool:
    """Within a slab; whether a voxel became strong."""
    groups, count = ndimage.label(part, _ALL_NEIGHBOURS)
    is_strong = np.zeros(count + 1, dtype=bool)
    is_strong[groups[part == _STRONG]] = True
    is_strong[0] = False
    grown = is_strong[groups] & (part == _WEAK)
    part[grown] = _STRONG
    return bool(grown.any())
