"""The gradient of what a float16 network makes: scaled on its way through, so that it stays within float16's range.

A loss that is a mean over N voxels has gradients of 1/N, which float16 rounds to nothing. They are multiplied by a
power of two before the network and divided by it behind; no caller has to know.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SUM = 2.0**14
"""What the absolute values of the gradient that enters sum up to: a latent's gradient adds up over all voxels, so that
this, and not the largest value, is held a factor 4 below the end of float16's range."""
_BACK_OFF = 2.0**4
_ATTEMPTS = 7
"""Beyond these, a sum of 2^-10, the network's gradient has no place in float16."""


def widened(run: Callable[[Tensor], Sequence[Tensor]], x: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """What `run`, which computes in `dtype` and whose weights are frozen, makes of x, as float32."""
    if dtype is torch.float16 and torch.is_grad_enabled() and x.requires_grad:
        return list(_Scaled.apply(run, x))  # type: ignore[no-untyped-call]
    return [part.float() for part in run(x)]


class _Scaled(torch.autograd.Function):
    """Runs on a graph of its own, which its backward may go through more than once."""

    @staticmethod
    def forward(ctx: Any, run: Callable[[Tensor], Sequence[Tensor]], x: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            ctx.parts = run(ctx.leaf)
        return tuple(part.detach().float() for part in ctx.parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[None, Tensor | None]:
        pairs = [(part, found) for part, found in zip(ctx.parts, gradients, strict=True) if found is not None]
        if not pairs:
            return None, None
        scale = _scale([found for _, found in pairs])
        for attempt in range(_ATTEMPTS):
            scaled = [(found * (scale / _BACK_OFF**attempt)).to(part.dtype) for part, found in pairs]
            (result,) = torch.autograd.grad([part for part, _ in pairs], ctx.leaf, scaled, retain_graph=True)
            result = result / (scale / _BACK_OFF**attempt)
            if bool(torch.isfinite(result).all()):
                break
        return None, result


def _scale(gradients: Sequence[Tensor]) -> float:
    """A power of two, so that scaling rounds nothing; 1 where there is nothing to scale."""
    total = sum(float(found.abs().sum(dtype=torch.float64)) for found in gradients)
    if not 0 < total < math.inf:
        return 1.0
    return float(2.0 ** max(-100, min(100, math.floor(math.log2(_SUM / total)))))
