"""How near a translation is to the truth, as tables 1 and 2 of MEGAN's paper measure it (Uzunova et al. 2020), and
whether its patches show.

Volumes are arrays of one shape with intensities in [0, 1].
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from model_store.card import Task, TranslatorCard
from model_store.loaded_model import Shape
from model_store.networks.patches import PATCH, RIM, starts
from model_store.translator import Drawing, Guide, Pass, Slab, Translator
from volumes.similarity import ssim

Unit = NDArray[np.float32]
Mask = NDArray[np.bool_]
AIR = 0.05
"""What lies above is tissue, or belongs to the body around it."""


@dataclass(frozen=True)
class Likeness:
    """The columns of tables 1 and 2. SSIM over 7^3 windows (the paper names none), by their middle within a mask."""

    ssim: float
    mae: float
    mse: float
    psnr_db: float | None
    """10 log10(1 / MSE); None where nothing differs."""


@dataclass(frozen=True)
class Measures:
    """Over the whole volume, as the paper has it, and over the foreground alone: background is easily alike."""

    whole: Likeness
    foreground: Likeness


def measure(made: Unit, real: Unit) -> Measures:
    """Of a translation and its truth, (X, Y, Z) both. Raises: ValueError, for volumes that cannot be compared."""
    if made.shape != real.shape:
        raise ValueError(f"the shapes differ: {made.shape} and {real.shape}")
    body, threads = foreground(real), torch.get_num_threads()
    return Measures(likeness(made, real, None, threads), likeness(made, real, body, threads))


def likeness(made: Unit, real: Unit, where: Mask | None = None, threads: int = 1) -> Likeness:
    """Over all voxels, or over those of a mask."""
    apart = np.subtract(made, real, dtype=np.float64)
    apart = apart if where is None else apart[where]
    mse = float(np.square(apart).mean())
    return Likeness(ssim(made, real, 1.0, threads, where), float(np.abs(apart).mean()), mse, _psnr(mse))


def _psnr(mse: float) -> float | None:
    return 10 * math.log10(1 / mse) if mse > 0 else None


def foreground(real: Unit) -> Mask:
    """The body: the largest part of what is no air, and the air within it."""
    parts, count = ndimage.label(real > AIR)
    if not count:
        return np.ones(real.shape, dtype=bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    filled: Mask = ndimage.binary_fill_holes(parts == sizes.argmax())
    return filled


def mean_of(found: Sequence[Measures]) -> Measures:
    """Each measure's mean over volumes; a PSNR that is None counts in none."""
    parts = {side: [getattr(one, side) for one in found] for side in ("whole", "foreground")}
    return Measures(**{side: _mean(likenesses) for side, likenesses in parts.items()})


def _mean(found: Sequence[Likeness]) -> Likeness:
    ratios = [one.psnr_db for one in found if one.psnr_db is not None]
    alike, mae, mse = (float(np.mean([getattr(one, name) for one in found])) for name in ("ssim", "mae", "mse"))
    return Likeness(alike, mae, mse, float(np.mean(ratios)) if ratios else None)


def seam_ratio(image: Unit) -> float | None:
    """Mean absolute jump of an image (A0, A1, A2) between voxels of two patches, over that between neighbours within
    one; 1 where patches do not show. Of the finest scale on the networks' own grid, inside the body.

    None: an image shorter than two patches, or without contrast.
    """
    body, across, within = foreground(image), [0.0, 0], [0.0, 0]
    for axis, side in enumerate(image.shape):
        jumps = np.abs(np.diff(image, axis=axis))
        inside = np.logical_and(*(np.take(body, range(k, side - 1 + k), axis=axis) for k in (0, 1)))
        borders = seams(side)
        for sums, planes in ((across, borders), (within, sorted(set(range(side - 1)) - set(borders)))):
            chosen = np.take(inside, planes, axis=axis)
            sums[0] += float(np.take(jumps, planes, axis=axis)[chosen].sum())
            sums[1] += int(chosen.sum())
    if not across[1] or not within[0]:
        return None
    return (across[0] / across[1]) / (within[0] / within[1])


def seams(side: int) -> list[int]:
    """Along one axis the voxels behind which the middle of another patch begins."""
    firsts = starts(side) if side >= PATCH else []
    if len(firsts) < 2:
        return []
    ends = {first + edge for first in firsts for edge in (RIM, PATCH - RIM)}
    return sorted(end - 1 for end in ends if 0 < end < side)


class Watched:
    """A translator that remembers the image it painted last, on the networks' own grid.

    doublings: how far above the lowest scale it ends, its last networks left out; None where it ends as it is.
    """

    def __init__(self, whole: Translator, doublings: int | None = None) -> None:
        self._whole, self._doublings = whole, doublings
        self.doublings = 0
        """Of the last image."""
        self._planes: list[Tensor] = []

    @property
    def card(self) -> TranslatorCard:
        return self._whole.card

    @property
    def device(self) -> torch.device:
        return self._whole.device

    @property
    def size_bytes(self) -> int:
        return self._whole.size_bytes

    @property
    def drawing(self) -> Drawing:
        own = self._whole.drawing
        return own if self._doublings is None else replace(own, doublings=self._doublings)

    def work_bytes(self, task: Task, shape: Shape) -> int:
        return self._whole.work_bytes(task, shape)

    def translate(self, guide: Guide) -> Iterator[Pass | Slab]:
        """As the protocol says; the image is kept on the way."""
        self.doublings, self._planes = guide.doublings, []
        for event in self._whole.translate(guide):
            if isinstance(event, Slab):
                self._planes.append(event.planes)
            yield event

    @property
    def image(self) -> Unit:
        """The last image as a whole, (A0, A1, A2)."""
        low, high = self.card.intensity.network_range
        image: Unit = ((torch.cat(self._planes) - low) / (high - low)).clamp(0, 1).numpy()
        return image


def as_json(found: Measures) -> dict[str, Any]:
    """For a report."""
    return asdict(found)
