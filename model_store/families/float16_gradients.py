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
    """What `run`, which computes in `dtype` and whose weights are frozen, makes of x, as float32.

    `run` is called again where the first scale leaves float16's range, and must then give the same.
    """
    if dtype is torch.float16 and torch.is_grad_enabled() and x.requires_grad:
        return list(_Scaled.apply(run, x))  # type: ignore[no-untyped-call]
    return [part.float() for part in run(x)]


class _Scaled(torch.autograd.Function):
    """Runs on a graph of its own, which is used up on the way back; a second way back runs the network again."""

    @staticmethod
    def forward(ctx: Any, run: Callable[[Tensor], Sequence[Tensor]], x: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.run, ctx.graph = run, _recorded(run, x)
        ctx.save_for_backward(x)
        return tuple(part.detach().float() for part in ctx.graph[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[None, Tensor | None]:
        (x,) = ctx.saved_tensors
        pairs = [(k, found) for k, found in enumerate(gradients) if found is not None]
        scale, result = _scale([found for _, found in pairs]), None
        for _ in range(_ATTEMPTS if pairs else 0):
            (leaf, parts), ctx.graph = ctx.graph or _recorded(ctx.run, x), None
            scaled = [(found * scale).to(parts[k].dtype) for k, found in pairs]
            (result,) = torch.autograd.grad([parts[k] for k, _ in pairs], leaf, scaled)
            result = result / scale
            if bool(torch.isfinite(result).all()):
                break
            scale /= _BACK_OFF
        return None, result


def _recorded(run: Callable[[Tensor], Sequence[Tensor]], x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """A leaf of x's values, and what `run` makes of it."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        return leaf, run(leaf)


def _scale(gradients: Sequence[Tensor]) -> float:
    """A power of two, so that scaling rounds nothing; 1 where there is nothing to scale."""
    total = sum(float(torch.linalg.vector_norm(found, 1)) for found in gradients)
    if not 0 < total < math.inf:
        return 1.0
    return float(2.0 ** max(-100, min(100, math.floor(math.log2(_SUM / total)))))
