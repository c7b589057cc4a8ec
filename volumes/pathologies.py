"""Other appearances of a mask of pathologies, as MEGAN's figure 10 has them (Uzunova et al. 2020, section 3.2): shrunk,
enlarged, or on the other side."""

import numpy as np
from scipy import ndimage

from volumes.edges import finite_range
from volumes.orientation import reorient
from volumes.volume import Array, Volume, on_one_grid


def resized(mask: Volume, factor: float) -> Volume:
    """Each connected pathology larger by `factor` (below 1: smaller) about its own middle; labels stay whole. The paper
    has 0.85 and 1.15. Where two come to lie over each other, the larger label stays.

    Raises:
        ValueError: a factor that is not above 0.
    """
    if not factor > 0:
        raise ValueError("a pathology's size is multiplied by a factor above 0")
    labels = np.asarray(mask.array)
    groups, _ = ndimage.label(labels > 0, np.ones((3, 3, 3)))
    made = np.zeros_like(labels)
    for group, box in enumerate(ndimage.find_objects(groups), start=1):
        _draw(made, np.where(groups[box] == group, labels[box], 0), box, factor)
    return Volume(made, mask.affine)


def _draw(made: Array, part: Array, box: tuple[slice, ...], factor: float) -> None:
    """A pathology's voxels, enlarged, into a volume."""
    target, source = [], []
    for axis, here in enumerate(box):
        middle, half = (here.start + here.stop - 1) / 2, (here.stop - here.start) / 2
        low, high = np.ceil(middle - half * factor), np.floor(middle + half * factor)
        at = np.arange(max(0, int(low)), min(made.shape[axis] - 1, int(high)) + 1)
        target.append(at)
        place = np.rint((at - middle) / factor + middle) - here.start
        source.append(np.clip(place, 0, part.shape[axis] - 1).astype(np.intp))
    where = np.ix_(*target)
    made[where] = np.maximum(made[where], part[np.ix_(*source)])


def mirrored(mask: Volume, scan: Volume) -> Volume:
    """Left and right exchanged about the middle of what the scan shows, so that a pathology comes to the other half.

    Raises:
        ValueError: the mask does not lie on the scan's grid.
        VolumeError: the scan has one value everywhere.
    """
    if not on_one_grid(scan, mask):
        raise ValueError("the mask does not lie on the scan's grid")
    seen, made = reorient(scan), Volume(np.zeros_like(mask.array), mask.affine)
    filled = np.flatnonzero((seen.array > finite_range(seen.array)[0]).any(axis=(1, 2)))
    source = np.arange(seen.shape[0])
    target = filled[0] + filled[-1] - source
    stays = (target >= 0) & (target < len(source))
    reorient(made).array[target[stays]] = reorient(mask).array[source[stays]]  # a view of what is made
    return made
