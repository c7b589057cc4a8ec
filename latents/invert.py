"""Inversion: the latent whose volume is nearest to a given one, by descent from a guess (bone paper, section 3.5)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

RATE = 7e-3
"""Adam's learning rate of the paper, from an encoder's guess; in standard deviations of the latent (1 for z)."""
FAR_RATE = 5e-2
"""From the mean latent, which is one standard deviation away from where latents lie."""
RISE, PATIENCE = 2.0, 10
"""A descent diverges when its loss stays above RISE times the best for PATIENCE steps in a row."""


@dataclass(frozen=True)
class Weights:
    """Of the three terms. Equation 7 has 1 for each; what is different here and why: docs/decisions/0019."""

    distortion: float = 1.0
    perceptual: float = 1.0
    latent: float = 1e-3


@dataclass(frozen=True)
class Prior:
    """Where a model's latents lie: z about 0 with standard deviation 1, styles about the mean style."""

    mean: Tensor
    spread: Tensor
    """Standard deviation of each coordinate; broadcasts to the latent, as the mean does."""


class Objective:
    """The loss of a latent: how far its volume and the critic's view are from the target's, and it from the mean."""

    def __init__(
        self,
        render: Callable[[Tensor], Tensor],
        target: Tensor,
        prior: Prior,
        features: Callable[[Tensor], Tensor | None] = lambda volume: None,  # noqa: ARG005
        weights: Weights = Weights(),
    ) -> None:
        """`render` maps a latent to a volume of `target`'s shape, `features` a volume to the critic's penultimate
        feature maps (None without a critic); both differentiably."""
        self.prior, self._render, self._features = prior, render, features
        self._target, self._weights = target, weights
        with torch.no_grad():
            self._seen = features(target)

    def __call__(self, latent: Tensor) -> dict[str, Tensor]:
        """The terms, weighted, each a scalar: distortion (eq. 3), perceptual (eq. 4) and latent (eq. 5)."""
        weights, prior = self._weights, self.prior
        volume = self._render(latent).float()
        terms = {"distortion": weights.distortion * (volume - self._target).square().mean()}
        if self._seen is not None:
            made = self._features(volume)
            assert made is not None
            terms["perceptual"] = weights.perceptual * (made - self._seen).square().mean()
        from_mean = ((latent - prior.mean) / prior.spread).square().mean()
        return terms | {"latent": weights.latent * from_mean.to(volume.device)}


@dataclass(frozen=True)
class Descent:
    """One step: its loss, and the best latent so far with its own loss and terms."""

    step: int
    loss: float
    best: Tensor
    best_loss: float = float("inf")
    terms: dict[str, float] = field(default_factory=dict)
    diverged: bool = False


def _once(evaluate: Callable[[], dict[str, float]]) -> dict[str, float]:
    return evaluate()


def refine(
    objective: Objective,
    guess: Tensor,
    steps: int,
    rate: float = RATE,
    attempt: Callable[[Callable[[], dict[str, float]]], dict[str, float]] = _once,
) -> Iterator[Descent]:
    """Adam on the objective (eq. 7 and 10), yielding at the guess and after each step: `steps` + 1 times in all.

    The last one's best loss is thus never above the guess's. A guess whose rows are all the same, the w of one
    mapping, is moved as one row: the minimum is sought in W, as in eq. 10. A loss that is not finite, or that keeps
    rising, ends the descent with `diverged`. Each evaluation goes through `attempt`, which may run it twice.
    """
    start, spread = guess.detach().float(), objective.prior.spread
    one_row = start.ndim == 2 and bool((start == start[:1]).all())
    shift = torch.zeros_like(start[:1] if one_row else start, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=rate)

    def evaluate() -> dict[str, float]:
        optimizer.zero_grad(set_to_none=True)
        with torch.enable_grad():
            terms = objective(start + spread * shift)
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        return {name: float(term.detach()) for name, term in terms.items()}

    found, above = Descent(0, float("inf"), start.clone()), 0
    for step in range(steps + 1):
        terms = attempt(evaluate)
        found = _compared(found, step, terms, (start + spread * shift).detach())
        above = above + 1 if found.loss > RISE * found.best_loss else 0
        # Not `loss >= inf`: a NaN compares to nothing.
        diverged = not found.loss < float("inf") or above >= PATIENCE
        yield Descent(step, found.loss, found.best, found.best_loss, found.terms, diverged)
        if diverged:
            return
        optimizer.step()


def _compared(found: Descent, step: int, terms: dict[str, float], latent: Tensor) -> Descent:
    """The best so far, this step among it."""
    loss = sum(terms.values())
    if loss < found.best_loss:
        return Descent(step, loss, latent.clone(), loss, terms)
    return Descent(step, loss, found.best, found.best_loss, found.terms)
