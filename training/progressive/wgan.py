"""The Wasserstein losses of the bone paper (eq. 1 and 2): two-sided gradient penalty and drift."""

from collections.abc import Callable

import torch
from torch import Tensor

from model_store.networks.layers import wide
from training.engine.precision import exact

Scores = Callable[[Tensor], Tensor]
"""f: (n, 1, *shape) -> (n,)."""
GRADIENT_WEIGHT = 10.0
"""p_1; the paper gives no value, this is that of [26] and [14]."""
DRIFT_WEIGHT = 1e-3
"""p_2; that of [14]."""


def gradient_penalty(critic: Scores, real: Tensor, made: Tensor, mix: Tensor) -> Tensor:
    """The mean of (|grad f| - 1)^2 on the lines between real and generated volumes.

    Args:
        mix: (n,) in [0, 1], the place on each line: 0 is the real volume.
    """
    with exact(real):
        between = torch.lerp(real, wide(made), mix[:, None, None, None, None]).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty: Tensor = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


def critic_loss(critic: Scores, real: Tensor, made: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 1 -> (loss, estimated Wasserstein distance). `made` comes without gradients."""
    scores, scores_made = wide(critic(real)), wide(critic(made))
    distance = (scores - scores_made).mean()
    penalty = GRADIENT_WEIGHT * gradient_penalty(critic, real, made, mix)
    return penalty + DRIFT_WEIGHT * scores.square().mean() - distance, distance.detach()


def generator_loss(critic: Scores, made: Tensor) -> Tensor:
    """Eq. 2."""
    return -wide(critic(made)).mean()
