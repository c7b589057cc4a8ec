"""Frames in the order of their places, and the affine of what they make together.

Order and spacing come from positions alone: the thickness of a slice is not the distance to the next one, and file
names and instance numbers follow the scanner's habits. Source: DICOM PS3.3, C.7.6.2.1.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from volumes.dicom.images import Frame
from volumes.reader_limits import LPS_TO_RAS
from volumes.volume import Affine, VolumeError

SAME_DIRECTION = 1e-3
SAME_SPACING = 1e-3
"""Relative."""
SAME_GAP = 0.1
"""How far a slice may lie from where even spacing puts it, in gaps: positions are often rounded to 0.1 mm."""
SAME_PLACE_MM = 1e-3
MOST_DRIFT = 0.1
"""Pixels in-plane from the first slice to the last: below it nothing is resampled."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices from one end to the other.

    affine: (4, 4), (column, row, slice) -> RAS+ mm. shift: pixels along columns and rows by which each slice lies
    further than the one before it, where the gantry was tilted; else 0.
    """

    frames: tuple[Frame, ...]
    affine: Affine
    shift: tuple[float, float]


def stacked(frames: Sequence[Frame]) -> Stack:
    """Frames of one series as a volume.

    Raises:
        VolumeError: frames that do not lie parallel and evenly one behind the other, and which.
    """
    right, down, spacing = _plane(frames)
    normal = np.cross(right, down)
    places = np.array([frame.position for frame in frames], np.float64)
    depths = places @ normal
    order = np.argsort(depths, kind="stable")
    depths, places = depths[order], places[order]
    if len(frames) < 2:
        raise VolumeError(
            "It is one image of a series. Send all images of the series as a .zip, or name their folder; "
            "among other scans each series lies in a folder of its own."
        )
    _check_gaps(depths)
    step = (places[-1] - places[0]) / (len(frames) - 1)
    gap = float(step @ normal)
    _check_line(places, step, float(spacing.min()))
    drift = step - gap * normal
    shift = (float(drift @ right) / spacing[1], float(drift @ down) / spacing[0])
    shift = (_if_seen(shift[0], len(frames)), _if_seen(shift[1], len(frames)))
    affine = np.eye(4)
    affine[:3] = np.column_stack((right * spacing[1], down * spacing[0], gap * normal, places[0]))
    return Stack(tuple(frames[place] for place in order), LPS_TO_RAS @ affine, shift)


def _if_seen(by: float, count: int) -> float:
    return by if abs(by) * (count - 1) > MOST_DRIFT else 0.0


def _plane(frames: Sequence[Frame]) -> tuple[Affine, Affine, Affine]:
    """Directions of columns' and rows' numbers, and the distances between rows and between columns, of all frames."""
    if any(None in (frame.position, frame.orientation, frame.spacing) for frame in frames):
        raise VolumeError(
            "The DICOM images do not say where they lie: position, orientation or pixel spacing is missing."
        )
    directions = np.array([frame.orientation for frame in frames], np.float64)
    spacings = np.array([frame.spacing for frame in frames], np.float64)
    places = np.array([frame.position for frame in frames], np.float64)
    if not all(np.isfinite(array).all() for array in (directions, spacings, places)) or spacings.min() <= 0:
        raise VolumeError("A position, orientation or pixel spacing of the DICOM images is not a number that can be.")
    if np.abs(directions - directions[0]).max() > SAME_DIRECTION:
        raise VolumeError("The images of the series lie in several directions, as those of a scout do.")
    if np.abs(spacings / spacings[0] - 1).max() > SAME_SPACING:
        raise VolumeError("The images of the series have pixels of several sizes.")
    right, down = directions[0, :3], directions[0, 3:]
    lengths = np.array([right @ right, down @ down, 1 + right @ down])
    if np.abs(lengths - 1).max() > 2 * SAME_DIRECTION:
        raise VolumeError("The orientation of the DICOM images is not two directions at right angles.")
    return right, down, spacings[0]


def _check_gaps(depths: Affine) -> None:
    """Raises: VolumeError, for slices that are missing, doubled or unevenly spaced."""
    gaps = np.diff(depths)
    count = len(depths)
    apart = gaps > SAME_PLACE_MM
    places = int(apart.sum()) + 1
    if places < count:
        lengths = np.diff(np.flatnonzero(np.concatenate(([True], apart, [True]))))
        if len(set(lengths.tolist())) == 1:
            raise VolumeError(
                f"It holds {lengths[0]} images at each place, such as times, echoes or directions (4-D): one volume "
                "alone can be taken. Send the images of one."
            )
        raise VolumeError(
            f"Images {_pair(int(np.argmin(apart)), count)} lie at the same place: a slice is there twice."
        )
    typical = float(np.median(gaps))
    widest = int(np.argmax(gaps))
    if gaps[widest] > 1.5 * typical:
        raise VolumeError(f"A slice is missing between images {_pair(widest, count)}.")
    mean = (depths[-1] - depths[0]) / (count - 1)
    off = np.abs(depths - (depths[0] + mean * np.arange(count)))
    if off.max() > SAME_GAP * mean:
        raise VolumeError(
            f"The slices are not evenly spaced: see images {_pair(int(np.argmax(np.abs(gaps - mean))), count)}."
        )


def _pair(first: int, count: int) -> str:
    return f"{first + 1} and {first + 2} of {count} in the order of their positions"


def _check_line(places: Affine, step: Affine, pixel_mm: float) -> None:
    """Raises: VolumeError, where slices are moved sideways one against the other."""
    expected = places[0] + np.arange(len(places))[:, np.newaxis] * step
    sideways = (places - expected) - np.outer((places - expected) @ step / (step @ step), step)
    if np.linalg.norm(sideways, axis=1).max() > 0.5 * pixel_mm:
        raise VolumeError("The images do not lie one behind the other: some are moved sideways.")
