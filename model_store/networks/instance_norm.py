"""Instance normalisation in place, on channels that lie side by side, for inference on the CPU.

torch's own would first turn the whole tensor and back, which takes longer than the convolution before it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CACHED_BYTES = 1 << 19
"""Of voxels that are gone through at a time: what is read for the mean is still in the cache for the variance, and what
is scaled for ReLU."""


def normalised(x: Tensor, norm: nn.InstanceNorm3d, is_rectified: bool) -> Tensor:
    """(n, c, d, h, w) with channels last, changed in place: each sample by itself, the same alone and in a batch."""
    for sample in x.movedim(1, -1).flatten(1, 3):  # a view of voxels and channels
        parts = sample.split(max(1, _CACHED_BYTES // (sample.shape[1] * sample.element_size())))
        mean, variance = _moments(parts)
        factor = norm.weight * torch.rsqrt(variance + norm.eps)
        shift = norm.bias - mean * factor
        for part in parts:
            torch.addcmul(shift, part, factor, out=part)
            if is_rectified:
                F.relu_(part)
    return x


def _moments(parts: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Mean and variance (c,) of all rows; parts are joined as by Chan et al. 1979."""
    counts = torch.tensor([float(len(part)) for part in parts])[:, None]
    means = torch.stack([_sum(part) for part in parts]) / counts
    squares = [_sum((part - mean).square_()) for part, mean in zip(parts, means, strict=True)]
    total = counts.sum()
    mean = (means * counts).sum(dim=0) / total
    spread = torch.stack(squares) + counts * (means - mean).square()
    return mean, spread.sum(dim=0) / total


def _sum(rows: Tensor) -> Tensor:
    """(voxels, c) -> (c,), as products with a row of ones, of 128 voxels at a time: a long sum in float32 loses
    digits."""
    voxels = len(rows)
    part = min(128, voxels & -voxels)
    return torch.sum(rows.new_ones(1, part) @ rows.view(voxels // part, part, -1), dim=(0, 1))
