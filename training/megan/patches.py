"""What a MEGAN iteration sees: one scan at the lowest scale, or patches of one scan at another."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from model_store.networks.lines import planes, stretched
from model_store.networks.megan import spread
from model_store.networks.patches import PATCH
from training.engine.data import Scans
from training.megan.augmentation import deformation, deformed, with_pathology_resized
from training.megan.config import MEGANConfig

_MARGIN = PATCH // 4


class Examples(Dataset[tuple[Tensor, Tensor]]):
    """Item i, of iteration i, is a function of (seed, i) alone."""

    def __init__(self, scans: Scans, config: MEGANConfig) -> None:
        self.scans, self.config = scans, config

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Images, and the conditions they are made from: LR (1, 1, d, h, w) and edges (1, 1, 2d, 2h, 2w); HR
        (n, 1, 32^3), and (n, 2, 32^3) of coarser patches and edges."""
        random = np.random.default_rng([self.config.seed, index])
        path = self.scans.paths[int(random.integers(len(self.scans.paths)))]
        image, edges = self.load(path, random)
        scale, finest = index // self.config.iterations, self.config.doublings
        if scale == 0:
            image, edges = at_scale(image, finest), at_scale(edges, finest - 1)
            if random.random() < self.config.deformed:
                field = deformation(random)
                image, edges = deformed(image, field), deformed(edges, field)
            return image[None, None], spread(edges, self.config.edge_power)[None, None]
        coarse = at_scale(image, finest - scale + 1)
        return patches(coarse, at_scale(image, finest - scale), at_scale(edges, finest - scale), self.config, random)

    def load(self, path: Path, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The image, and one of the drawings of its edges."""
        parts, masks = np.load(path, mmap_mode="r"), self.config.masks
        drawings = len(parts) if masks is None else len(parts) - 1
        chosen = parts[[0, int(random.integers(1, drawings))]].astype(np.float32)
        if masks is not None and random.random() < self.config.resized:
            chosen = with_pathology_resized(chosen, parts[-1], random)
        if random.random() < self.config.mirrored:
            chosen = np.flip(chosen, 1 + self._sideways).copy()
        image, edges = torch.from_numpy(chosen)
        return image, edges

    @property
    def _sideways(self) -> int:
        """The network's axis between left and right."""
        return next(axis for axis, code in enumerate(self.config.axes) if code in "LR")


def patches(
    coarse: Tensor, fine: Tensor, edges: Tensor, config: MEGANConfig, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """What an HR iteration sees of one scale of a scan, at random places; `coarse` is the scale below."""
    low, drawn = F.pad(coarse, (_MARGIN,) * 6, value=-1.0), spread(edges, config.edge_power)
    chosen = [_start(fine, random) for _ in range(config.batch_size)]
    images = torch.stack([_cut(fine, at)[None] for at in chosen])
    halves = [(a0 // 2, a1 // 2, a2 // 2) for a0, a1, a2 in chosen]
    pairs = zip(halves, chosen, strict=True)
    return images, torch.stack([torch.stack([_cut(low, half), _cut(drawn, at)]) for half, at in pairs])


def at_scale(volume: Tensor, halvings: int) -> Tensor:
    """A volume of the finest scale at a coarser one, ends on ends as in inference."""
    if halvings == 0:
        return volume
    a0, a1, a2 = (stretched(side, side >> halvings) for side in volume.shape)
    return planes(volume, (a0, a1, a2), 0, len(a0))


def _start(image: Tensor, random: np.random.Generator) -> tuple[int, int, int]:
    """Of a patch about a voxel of the foreground, as far as it lies inside. Even: coarse voxels are two fine ones."""
    filled = (image.flatten() > -1).nonzero()[:, 0]
    place = int(filled[int(random.integers(len(filled)))]) if len(filled) else 0
    middle = np.unravel_index(place, tuple(image.shape))
    a0, a1, a2 = (
        2 * (min(max(int(at) - PATCH // 2, 0), side - PATCH) // 2) for at, side in zip(middle, image.shape, strict=True)
    )
    return a0, a1, a2


def _cut(volume: Tensor, at: tuple[int, int, int]) -> Tensor:
    a0, a1, a2 = (slice(first, first + PATCH) for first in at)
    return volume[a0, a1, a2]
