"""What an encoder minimises (bone paper, section 3.5, eq. 3 to 9)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from model_store.networks.layers import wide

DISTORTION_WEIGHT = 5.0
"""In eq. 9; 1 in eq. 6."""
LATENT_WEIGHT = 0.04
"""Of D_W's term in eq. 9."""


def half_square(made: Tensor, wanted: Tensor) -> Tensor:
    """Half the mean squared difference: eq. 3 for volumes, eq. 4 for the critic's features."""
    return 0.5 * F.mse_loss(wide(made), wide(wanted))


def gaussian_latent(z: Tensor) -> Tensor:
    """Eq. 5: half the mean square of z (n, z_dim)."""
    return 0.5 * wide(z).square().mean()


def plausible_latent(logits: Tensor) -> Tensor:
    """Eq. 8: -log D_W of encoded w, from D_W's logits (n,); its 512 equal summands are one."""
    return F.softplus(-wide(logits)).mean()


def latent_discriminator_loss(logits_mapped: Tensor, logits_encoded: Tensor) -> Tensor:
    """What D_W minimises: cross-entropy, mapped codes being real and encoded ones not."""
    return F.softplus(-wide(logits_mapped)).mean() + F.softplus(wide(logits_encoded)).mean()


def encoder_loss(terms: dict[str, Tensor], has_style_space: bool) -> Tensor:
    """Eq. 6 without a style space, eq. 9 with one. `terms`: distortion, latent and, with a critic, perceptual."""
    weights = {"distortion": DISTORTION_WEIGHT, "latent": LATENT_WEIGHT} if has_style_space else {}
    return torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
