"""The slices of prepared scans, to train a 2D network on."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.engine.data import Scans


class TrainingSlices(Dataset[tuple[Tensor, int]]):
    """Every slice across A0 of every scan once per epoch. Item i is a function of (seed, i) alone."""

    def __init__(self, scans: Scans, depth: int, seed: int) -> None:
        self.scans, self.depth, self.seed = scans, depth, seed
        self._order = -1, np.empty(0, np.int64)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """((1, A1, A2) float32 in the network's range, -1)."""
        count = len(self.scans.paths) * self.depth
        epoch, place = divmod(index, count)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch, 2]).permutation(count)
        scan, level = divmod(int(self._order[1][place]), self.depth)
        volume = np.load(self.scans.paths[scan], mmap_mode="r")
        return torch.from_numpy(volume[level].astype(np.float32))[None], -1
