"""What voxel values mean: a scan's window, the network's range, and the one conversion to stored values."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from volumes.volume import Array, VolumeError

Range = tuple[float, float]
UNIT: Range = (0.0, 1.0)
QUANTILE_SAMPLES = 4_000_000
UNIT_SCALE = {"u1": 255.0, "i2": 32767.0}
"""What 1.0 becomes in unit mode where the stored type is an integer."""


class NotFiniteError(ValueError):
    """There is NaN or infinity where a number was due."""


def window_of(array: Array, quantiles: Range) -> Range:
    """[low, high]: two quantiles of a scan's finite values, taken on evenly thinned voxels where there are many.

    The upper one leaves out voxels at the lowest value: how much air a scanner filled in must not set the contrast.

    Raises:
        VolumeError: no finite value, or the same value everywhere.
    """
    thin = array
    while thin.size > QUANTILE_SAMPLES:
        axis = int(np.argmax(thin.shape))
        thin = thin[tuple(slice(None, None, 2 if i == axis else 1) for i in range(thin.ndim))]
    values = np.asarray(thin, dtype=np.float32)
    values = values[np.isfinite(values)]
    if not values.size:
        raise VolumeError("The scan has no finite value.")
    above = values[values > values.min()]
    if not above.size:
        raise VolumeError("The scan has the same value everywhere.")
    low, high = float(np.quantile(values, quantiles[0])), float(np.quantile(above, quantiles[1]))
    return (low, high) if low < high else (float(values.min()), float(values.max()))


def to_network_range(array: Array, low: float, high: float, network_range: Range) -> NDArray[np.float32]:
    """[low, high] -> network_range, linearly and with clipping, as float32 of the same shape. NaN counts as low."""
    scale = (network_range[1] - network_range[0]) / (high - low)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is clipped or NaN in the end
        result = np.array(array, dtype=np.float32, order="K")
        result -= np.float32(low)
        result *= np.float32(scale)
        result += np.float32(network_range[0])
    np.clip(result, *(np.float32(end) for end in network_range), out=result)
    return np.nan_to_num(result, copy=False, nan=network_range[0])


def to_unit(array: Array, low: float, high: float) -> NDArray[np.float32]:
    """[low, high] -> [0, 1], linearly and with clipping, as float32 of the same shape."""
    return to_network_range(array, low, high, UNIT)


def to_stored(
    network_array: NDArray[np.float32],
    low: float,
    high: float,
    network_range: Range,
    dtype: DTypeLike,
    mode: Literal["stored", "unit"] = "stored",
) -> Array:
    """The network's values -> the values of a file, any shape kept. The input is left alone.

    stored: network_range -> [low, high], the card's units. unit: -> [0, 1], of which uint8 stores 255ths and int16
    32767ths. Integers are rounded to the nearest and clipped to their type; float32 is never clipped.

    Raises:
        NotFiniteError: some value is NaN or infinite.
    """
    kind = np.dtype(dtype)
    is_integer = kind.kind in "iu"
    ends = (low, high) if mode == "stored" else (0.0, UNIT_SCALE[kind.str[1:]] if is_integer else 1.0)
    scale = np.float32((ends[1] - ends[0]) / (network_range[1] - network_range[0]))
    shift = np.float32(ends[0] - network_range[0] * float(scale))
    stored = np.empty_like(network_array, dtype=kind)
    limits = np.iinfo(kind) if is_integer else None
    for source, target in _slabs(network_array, stored):
        values = source * scale
        values += shift
        if not np.isfinite(values).all():
            raise NotFiniteError("Some value is not finite.")
        if limits is not None:
            np.rint(values, out=values)
            np.clip(values, np.float32(limits.min), np.float32(limits.max), out=values)
        target[...] = values
    return stored


def _slabs(source: NDArray[np.float32], target: Array) -> Iterator[tuple[NDArray[np.float32], Array]]:
    """Pairs of views of both along the axis that lies outermost in memory, so that temporaries stay small.

    Axes that the source runs through backwards are turned in both: numpy is slow at them.
    """
    turned = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in source.strides)
    source, target = source[turned], target[turned]
    axis = int(np.argmax(np.abs(source.strides)))
    source, target = np.moveaxis(source, axis, 0), np.moveaxis(target, axis, 0)
    step = max(1, (1 << 20) * source.shape[0] // max(1, source.size))
    for start in range(0, source.shape[0], step):
        yield source[start : start + step], target[start : start + step]
