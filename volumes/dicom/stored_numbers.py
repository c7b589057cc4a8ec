"""The numbers of a written series: 16 bits each, and what they are worth by slope and intercept."""

from dataclasses import dataclass

import numpy as np
from pydicom.valuerep import format_number_as_ds

from volumes.volume import Array

STEPS = 65_535


@dataclass(frozen=True)
class Scaling:
    """What is stored times `slope` plus `intercept` is the value; both are as their 16 characters in the file say."""

    slope: float
    intercept: float
    is_signed: bool
    is_real: bool
    """Whether values are real numbers, rounded to the nearest step: off by half a slope at most."""

    @property
    def is_plain(self) -> bool:
        return (self.slope, self.intercept) == (1.0, 0.0)

    def stored(self, plane: Array) -> Array:
        """A plane's numbers, little-endian, in C order."""
        if not self.is_real:
            return np.ascontiguousarray(plane, "<i2" if self.is_signed else "<u2")
        steps = np.rint((plane.astype(np.float64) - self.intercept) / self.slope)
        return np.ascontiguousarray(np.clip(steps, 0, STEPS), "<u2")


def scaling_of(array: Array, step: float) -> Scaling:
    """Of all slices alike. Whole numbers, each worth `step`, are stored as they are; of real ones the least becomes 0
    and the greatest 65,535.

    Raises:
        ValueError: real numbers that are not finite.
    """
    if array.dtype.kind != "f":
        return Scaling(_written(step), 0.0, array.dtype.kind == "i", is_real=False)
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("DICOM holds no numbers that are not finite")
    intercept = _written(low)
    slope = (high - intercept) / STEPS
    return Scaling(_written(slope) if slope > 0 else 1.0, intercept, is_signed=False, is_real=True)


def _written(number: float) -> float:
    """As a decimal string (DS) of the standard, of 16 characters at most, gives it."""
    return float(format_number_as_ds(float(number)))
