"""The losses of StyleGAN2 (Karras et al. 2020): non-saturating logistic, R1 and path length."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.layers import wide
from training.engine.precision import exact


def generator_loss(verdict: Tensor) -> Tensor:
    """-log D(G(z)) from the logits (n,) of generated images."""
    return F.softplus(-wide(verdict)).mean()


def discriminator_loss(verdict_real: Tensor, verdict_made: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))) from logits (n,)."""
    return F.softplus(-wide(verdict_real)).mean() + F.softplus(wide(verdict_made)).mean()


def r1_penalty(critic: nn.Module, real: Tensor) -> Tensor:
    """Half the mean squared norm of the discriminator's gradient at real images (n, 1, *d); weighted by gamma."""
    real = real.detach().requires_grad_()
    with exact(real):
        (gradient,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2


def path_lengths(image: Tensor, w: Tensor, direction: Tensor) -> Tensor:
    """|J^T y| per sample (n,), the root of its mean square over the styles.

    Args:
        image: (n, 1, *d), made from w (n, num_styles, w_dim).
        direction: y, standard normal of the image's shape.
    """
    along = (image * direction).sum() / math.sqrt(image[0].numel())
    (gradient,) = torch.autograd.grad(along, w, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()
