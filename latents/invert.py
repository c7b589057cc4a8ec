"""Inversion: the latent whose volume is nearest to a given one, by descent from an encoder's guess."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

RATE = 7e-3
"""Adam's learning rate of the bone paper, section 3.5."""
PLAUSIBILITY = 1e-3
"""Weight of the latent's mean square. The paper has 1 beside a perceptual term of the critic, which is not shipped;
alone beside the voxels' mean square that would pull every latent to the mean volume."""


@dataclass(frozen=True)
class Descent:
    """One step: the loss at `latent`, and the best latent so far with its loss."""

    loss: float
    best: Tensor
    best_loss: float


def refine(render: Callable[[Tensor], Tensor], target: Tensor, guess: Tensor, steps: int) -> Iterator[Descent]:
    """Hybrid inversion (bone paper, eq. 7 without the critic's term), yielding once per step, `steps` + 1 times in all.

    `render` maps a latent of `guess`'s shape to a volume of `target`'s shape, differentiably. The first yield is the
    guess itself, so the last one's best loss is never above the encoder's.
    """
    latent = guess.detach().clone().float().requires_grad_(True)
    optimizer = torch.optim.Adam([latent], lr=RATE)
    best, best_loss = latent.detach().clone(), float("inf")
    for step in range(steps + 1):
        with torch.enable_grad():
            loss = (render(latent).float() - target).square().mean() + PLAUSIBILITY * latent.square().mean()
        if float(loss.detach()) < best_loss:
            best, best_loss = latent.detach().clone(), float(loss.detach())
        yield Descent(float(loss.detach()), best, best_loss)
        if step < steps:
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            optimizer.step()
