"""What may make a comparison mean something else than its user thinks, in sentences."""

from collections.abc import Iterator

import numpy as np

from evaluation.collected import Collected

FIELD_RATIO = 1.5
"""Between median fields of view, along any axis."""
HU_AIR = -500.0
"""No stored value of an MR scan lies so low, and any CT's air does."""


def of_sides(reference: Collected, generated: Collected, is_stretched: bool) -> Iterator[str]:
    """Another modality or size, and files that are on both sides."""
    if (np.median(reference.lowest) < HU_AIR) != (np.median(generated.lowest) < HU_AIR):
        yield "One side has the values of CT and the other has not: these may be scans of different modalities."
    ratio = np.median(generated.extents_mm, axis=0) / np.median(reference.extents_mm, axis=0)
    if is_stretched and np.maximum(ratio, 1 / ratio).max() > FIELD_RATIO:
        yield (
            "The fields of view differ by more than half between the sides: both were stretched to one grid, "
            "and what differs may be the size alone."
        )
    shared = _shared(generated, reference)
    if shared:
        yield f"{shared} of {len(generated.keys)} generated volumes are files of the reference, byte for byte."
    for name, side in {"reference": reference, "generated": generated}.items():
        yield from _of_sizes(side, name)
        yield from _of_copies(side, name)


def of_training(train: Collected, reference: Collected, generated: Collected) -> Iterator[str]:
    shared = _shared(reference, train)
    if shared:
        yield f"{shared} of {len(reference.keys)} reference scans are training scans: the reference should be held out."
    shared = _shared(generated, train)
    if shared:
        yield f"{shared} of {len(generated.keys)} generated volumes are training scans, byte for byte."
    yield from _of_copies(train, "training")


def of_voxels(scans: Collected) -> Iterator[str]:
    """Scans whose values are not all finite."""
    for name, is_whole in zip(scans.names, scans.whole, strict=True):
        if not is_whole:
            yield f"{name} has voxels that are not finite; they were taken as background"


def _shared(side: Collected, other: Collected) -> int:
    """Volumes of a side that are files of the other, too."""
    known = set(other.keys)
    return sum(key in known for key in side.keys)


def _of_copies(side: Collected, name: str) -> Iterator[str]:
    """One file under several names counts several times, and a scan with a copy has a neighbour at no distance."""
    copies = len(side.keys) - len(set(side.keys))
    if copies:
        yield f"{copies} of {len(side.keys)} {name} volumes are copies of others among them, byte for byte."


def _of_sizes(side: Collected, name: str) -> Iterator[str]:
    """Single scans that are unlike the rest of their folder."""
    middle = np.median(side.extents_mm, axis=0)
    ratio = side.extents_mm / middle
    odd = np.maximum(ratio, 1 / ratio).max(axis=1) > 2
    if odd.any():
        first = side.names[int(np.flatnonzero(odd)[0])]
        yield f"{int(odd.sum())} of {len(odd)} {name} volumes are more than twice as large or small, first {first}."
    is_ct = side.lowest < HU_AIR
    if is_ct.any() and not is_ct.all():
        first = side.names[int(np.flatnonzero(is_ct != (np.median(is_ct) > 0.5))[0])]
        yield f"Some {name} volumes have the values of CT and others have not, first {first}."
