"""What is done to conditions, so that errors of lower scales and of edges do not grow (section 2.2)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from training.megan.config import MEGANConfig

LEAST_SIGMA, LARGEST_SIGMA = 0.5, 1.5
"""Of a blur, in voxels of the coarser patch; the paper gives none."""
_RADIUS = math.ceil(3 * LARGEST_SIGMA)


def degraded(conditions: Tensor, config: MEGANConfig, source: torch.Generator) -> Tensor:
    """Edges (n, 1, ...) with noise; or patches (n, 2, ...) of which the first, the coarser image, is blurred in
    `blurred` of the cases, halved in resolution in `halved`, and gets noise of its own."""
    noise = torch.randn(conditions.shape, generator=source)
    if conditions.shape[1] == 1:
        return conditions + config.edge_noise * noise
    chance = torch.rand(3, len(conditions), generator=source)
    low = conditions[:, :1].clone()
    for k in range(len(low)):
        if chance[0, k] < config.blurred:
            low[k] = _blurred(low[k], LEAST_SIGMA + float(chance[1, k]) * (LARGEST_SIGMA - LEAST_SIGMA))
        if chance[2, k] < config.halved:
            low[k : k + 1] = _halved(low[k : k + 1])
    return torch.cat([low + config.low_noise * noise[:, :1], conditions[:, 1:] + config.edge_noise * noise[:, 1:]], 1)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """(1, d, h, w) by a Gaussian along each axis, the outermost voxels repeated."""
    taps = torch.exp(-0.5 * (torch.arange(-_RADIUS, _RADIUS + 1) / sigma) ** 2)
    taps = taps / taps.sum()
    x = F.pad(image[None], (_RADIUS,) * 6, mode="replicate")
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = -1
        x = F.conv3d(x, taps.view(shape))
    return x[0]


def _halved(image: Tensor) -> Tensor:
    """(1, 1, d, h, w): pairs of voxels averaged, and back by interpolation."""
    small = F.avg_pool3d(image, 2)
    return F.interpolate(small, size=image.shape[2:], mode="trilinear", align_corners=False)
