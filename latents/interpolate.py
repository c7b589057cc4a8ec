"""Walks between two latents, ends included."""

import torch
from torch import Tensor

PARALLEL = 1e-6
"""Below this sine of the angle two vectors span no plane to turn in."""


def lerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Straight line: (steps, *start.shape), the first exactly `start`, the last exactly `end`."""
    return torch.stack([_ends(start, end, t) if t in (0, 1) else start + t * (end - start) for t in _times(steps)])


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Great-circle walk for Gaussian latents, (d,) to (steps, d) (Shoemake 1985; White 2016).

    A straight line leaves the shell of radius sqrt(d) where N(0, I) has its mass; this walk stays on it. Vectors of
    unequal length change length on the way. (Anti)parallel or zero vectors span no plane: those walk straight.
    """
    if start.ndim != 1 or start.shape != end.shape:
        raise ValueError(f"slerp needs two vectors of one length, got {tuple(start.shape)} and {tuple(end.shape)}")
    a, b = start.double(), end.double()
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp_min(torch.finfo(torch.float64).tiny)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    if sine < PARALLEL or a.norm() == 0 or b.norm() == 0:
        return lerp(start, end, steps)
    walk = [(torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / sine for t in _times(steps)]
    walk[0], walk[-1] = a, b
    return torch.stack(walk).to(start.dtype)


def _times(steps: int) -> list[float]:
    if steps < 2:
        raise ValueError(f"a walk needs at least 2 steps, got {steps}")
    return [k / (steps - 1) for k in range(steps)]


def _ends(start: Tensor, end: Tensor, t: float) -> Tensor:
    return start if t == 0 else end
