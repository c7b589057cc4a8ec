"""What an iteration by distance alone sees: `training.megan.patches` with deformed scans at every scale, and HR
networks that are given the images of the networks below, as in use, and not the scan's own."""

import numpy as np
import torch
from torch import Tensor

from model_store.networks.cascade import Cascade
from model_store.networks.megan import spread
from model_store.translator import Guide, Slab
from training.megan.augmentation import deformation, deformed
from training.megan.patches import Examples, at_scale, patches


def example(examples: Examples, cascade: Cascade, scale: int, index: int, own_coarse: float) -> tuple[Tensor, Tensor]:
    """Image and condition as of `Examples`, a function of (seed, scale, index) and of the networks below `scale`.

    own_coarse: share of the examples whose coarser image `cascade` makes.
    """
    config, canvas = examples.config, max(scale, 1)  # LR's edges are on that of the first HR
    random = np.random.default_rng([config.seed, scale, index])
    loaded = examples.load(examples.scans.paths[int(random.integers(len(examples.scans.paths)))], random)
    image, edges = (at_scale(part, config.doublings - canvas) for part in loaded)
    if random.random() < config.deformed:
        field = deformation(random)
        image, edges = deformed(image, field), deformed(edges, field)
    if scale == 0:
        return at_scale(image, 1)[None, None], spread(edges, config.edge_power)[None, None]
    is_own = random.random() < own_coarse
    coarse = translated(cascade, edges, scale - 1, canvas) if is_own else at_scale(image, 1)
    return patches(coarse, image, edges, config, random)


def translated(cascade: Cascade, edges: Tensor, scale: int, canvas: int) -> Tensor:
    """(A0, A1, A2) in [-1, 1]: what the networks up to a scale make of edges on the canvas of another."""
    a0, a1, a2 = edges.shape
    guide = Guide((edges + 1) * 127.5, (a0, a1, a2), ((0.0, a0 - 1.0), (0.0, a1 - 1.0), (0.0, a2 - 1.0)), canvas)
    modes = [level.training for level in cascade.levels]
    cascade.eval()
    slabs = [event.planes for event in cascade.translate(guide, last=scale) if isinstance(event, Slab)]
    for level, mode in zip(cascade.levels, modes, strict=True):
        level.train(mode)
    return torch.cat(slabs).clone()
