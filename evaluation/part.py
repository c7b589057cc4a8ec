"""What is kept of one volume, so that no more than one is ever held: its features, and small views of it, in a file."""

import zipfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.distances import memorisation, ms_ssim
from evaluation.distances.detail import Spacing, detail_inside, detail_of
from model_store.features.network import FeatureNetwork, features_of, resized
from model_store.folder import replacing
from volumes.orientation import in_ras_order, to_network

HEAD_AXES = "IAL"
"""Down from the vertex, as the measure of detail wants a head."""
BINS = 64


@dataclass(frozen=True, eq=False)
class Part:
    """Of one volume."""

    features: NDArray[np.float32]
    """(d,)."""
    small: NDArray[np.float16]
    """(64, 64, 64) in [0, 1], RAS order."""
    tiny: NDArray[np.float32]
    """(32^3,) of the same."""
    slices: NDArray[np.uint8]
    """(3, side, side): the middle sagittal, coronal and axial plane, drawn as one looks at them."""
    histogram: NDArray[np.float64]
    """(64,): shares of the voxels above 0, over (0, 1]."""
    extent_mm: NDArray[np.float64]
    """(3,): the field of view it had."""
    detail: NDArray[np.float64]
    """(): NaN where there is none."""
    range: NDArray[np.float64]
    """(2,): lowest and highest finite value as stored."""
    is_whole: NDArray[np.bool_]
    """(): whether all values were finite."""


def measured(
    unit: NDArray[np.float32],
    spacing_mm: Spacing,
    is_head: bool,
    network: FeatureNetwork,
    extent_mm: Spacing,
    stored: tuple[float, float],
    is_whole: bool,
) -> Part:
    """Of a volume (X, Y, Z) in [0, 1], RAS order."""
    tensor = torch.from_numpy(np.ascontiguousarray(unit))[None, None]
    small = resized(tensor, (ms_ssim.SIDE,) * 3)
    detail = detail_of(to_network(unit, HEAD_AXES), _along(spacing_mm)) if is_head else detail_inside(unit, spacing_mm)
    return Part(
        features_of(network, tensor)[0].numpy(),
        small[0, 0].numpy().astype(np.float16),
        resized(small, (memorisation.SIDE,) * 3)[0, 0].numpy().ravel(),
        _slices(tensor),
        _histogram(unit),
        np.array(extent_mm, np.float64),
        np.array(np.nan if detail is None else detail),
        np.array(stored, np.float64),
        np.array(is_whole),
    )


def _along(spacing_mm: Spacing) -> Spacing:
    """RAS to `HEAD_AXES`."""
    x, y, z = in_ras_order((0, 1, 2), HEAD_AXES)
    found = [0.0, 0.0, 0.0]
    for axis, step in zip((x, y, z), spacing_mm, strict=True):
        found[axis] = step
    return found[0], found[1], found[2]


def _slices(tensor: Tensor, side: int = 128) -> NDArray[np.uint8]:
    whole = resized(tensor, (side,) * 3)[0, 0].numpy()
    middle = side // 2
    planes = [plane.T[::-1] for plane in (whole[middle], whole[:, middle], whole[:, :, middle])]
    drawn: NDArray[np.uint8] = (np.clip(np.stack(planes), 0, 1) * 255).round().astype(np.uint8)
    return drawn


def _histogram(unit: NDArray[np.float32]) -> NDArray[np.float64]:
    above = unit[unit > 0]
    counts, _ = np.histogram(above, bins=BINS, range=(0, 1))
    shares: NDArray[np.float64] = counts / max(above.size, 1)
    return shares


def write(path: Path, part: Part) -> None:
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **asdict(part))


def read(path: Path) -> Part | None:
    """None where there is none, or one that cannot be read, which is then made again."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            values: dict[str, Any] = {field.name: stored[field.name] for field in fields(Part)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Part(**values)
