"""What is done to conditions, so that errors of lower scales and of edges do not grow (section 2.2)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from monai.transforms.utils import create_rotate, create_scale
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from training.megan.config import MEGANConfig

LEAST_SIGMA, LARGEST_SIGMA = 0.5, 1.5
"""Of a blur, in voxels of the coarser patch; the paper gives none."""
TURN_RAD, SCALING, BENT = 0.25, 0.15, 0.06
"""Largest turn about each axis and change of size; deviation of what bends, in halves of the image's sides."""
RESIZED = 0.15
"""Largest change of a pathology's size, the paper's."""
_KNOTS = 4
Float = NDArray[np.float32]
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


@dataclass(frozen=True)
class Deformation:
    """matrix (3, 3) on coordinates from -1 to 1 in the order of `grid_sample`; bends (3, 4, 4, 4), of a coarse grid."""

    matrix: Tensor
    bends: Tensor


def deformation(random: np.random.Generator) -> Deformation:
    """Another head of much the same kind: turned, larger or smaller along each axis, and bent."""
    turn = create_rotate(3, list(random.uniform(-TURN_RAD, TURN_RAD, 3)))
    scale = create_scale(3, list(np.exp(random.uniform(-SCALING, SCALING, 3))))
    matrix = torch.as_tensor(np.asarray(turn @ scale)[:3, :3], dtype=torch.float32)
    return Deformation(matrix, torch.from_numpy(random.normal(0, BENT, (3, *(_KNOTS,) * 3))).float())


def deformed(image: Tensor, how: Deformation) -> Tensor:
    """(d, h, w) in [-1, 1], background beyond its ends."""
    ends = [torch.linspace(-1, 1, side) for side in reversed(image.shape)]
    points = torch.stack(torch.meshgrid(*reversed(ends), indexing="ij")[::-1], dim=-1)
    bends = F.interpolate(how.bends[None], size=image.shape, mode="trilinear", align_corners=True)[0].movedim(0, -1)
    found = F.grid_sample((image + 1)[None, None], (points @ how.matrix.T + bends)[None], align_corners=True)
    return found[0, 0] - 1


def with_pathology_resized(parts: Float, mask: Float, random: np.random.Generator) -> Float:
    """Image and edges (2, d, h, w) with one pathology of the mask (d, h, w) shrunk or enlarged about its middle by up
    to 15% (section 3.2), in both alike. What lies around it makes room, up to twice its radius away."""
    groups, count = ndimage.label(mask > -1)
    if not count:
        return parts
    places = np.argwhere(groups == 1 + int(random.integers(count)))
    middle = places.mean(axis=0)
    radius = float(np.linalg.norm(places - middle, axis=1).max()) + 1
    factor = 1 + random.uniform(-RESIZED, RESIZED)
    box = tuple(
        slice(max(0, int(at - 2 * radius)), min(side, int(at + 2 * radius) + 2))
        for at, side in zip(middle, mask.shape, strict=True)
    )
    offsets = np.asarray(np.mgrid[box]) - middle.reshape(3, 1, 1, 1)
    beyond = np.clip(np.linalg.norm(offsets, axis=0) / radius - 1, 0, 1)
    fade = beyond**2 * (3 - 2 * beyond)  # 0 inside, 1 from twice the radius on
    points = middle.reshape(3, 1, 1, 1) + offsets * (1 / factor + (1 - 1 / factor) * fade)
    made = parts.copy()
    for target, part in zip(made, parts, strict=True):
        target[box] = ndimage.map_coordinates(part, points, order=1, mode="nearest")
    return made


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
