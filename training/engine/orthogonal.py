"""Gradient descent with orthogonalised momentum, for convolution weights."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """(m, n) -> about the nearest semi-orthogonal matrix, by Newton-Schulz iterations of fifth order.

    Coefficients of Jordan et al. 2024, "Muon: an optimizer for hidden layers": singular values end between 0.7 and 1.2.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    # Every iterate is an (m, m) factor times x: iterating the factor and the Gram matrix is a fifth of the work.
    gram, factor = x @ x.T, torch.eye(len(x)).to(x)
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        step = torch.eye(len(x)).to(x) * a + b * gram + c * gram @ gram
        factor, gram = step @ factor, step @ gram @ step
    found: Tensor = factor @ x
    return found.T if matrix.shape[0] > matrix.shape[1] else found


def descent_of(network: nn.Module, rate: float, vector_rate: float) -> "tuple[OrthogonalDescent, torch.optim.Adam]":
    """Orthogonalised momentum on a network's weights, and Adam on what normalisation scales and shifts by."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    return OrthogonalDescent(weights, lr=rate), torch.optim.Adam(vectors, lr=vector_rate)


class OrthogonalDescent(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) on weights of any rank, read as (out, rest); torch's own takes matrices alone.

    With the few thousand steps of a warm start on two cores it gets much further than Adam (docs/performance.md).
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, momentum: float = 0.95
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, _closure: Any = None) -> None:  # type: ignore[override]
        """One update from the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = parameter.grad
                average = self.state[parameter].setdefault("average", torch.zeros_like(gradient))
                average.lerp_(gradient, 1 - group["momentum"])
                ahead = gradient.lerp(average, group["momentum"]).reshape(len(gradient), -1)
                scale = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
                parameter.add_(orthogonalise(ahead).reshape(parameter.shape), alpha=-group["lr"] * scale)
