"""The losses of HA-GAN (Sun et al. 2022, eq. 4 to 9)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from model_store.networks.hagan import (
    HAGANDiscriminator,
    HAGANEncoder,
    HAGANGenerator,
    select_features,
    select_sub_volume,
)
from model_store.networks.layers import wide

Verdict = tuple[Tensor, Tensor | None]
"""Logits (n,) and class logits (n, K) or None."""


def low_resolution(volume: Tensor) -> Tensor:
    """X^L: every fourth voxel, (n, 1, S, S, S) -> (n, 1, S/4, S/4, S/4)."""
    return volume[:, :, ::4, ::4, ::4]


def adversarial(verdict: Verdict, real: bool) -> Tensor:
    """One expectation of eq. 4 or 5 as cross-entropy; for the generator in its non-saturating form."""
    logits = wide(verdict[0])
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def classification(verdict: Verdict, labels: Tensor | None) -> Tensor:
    """One expectation of eq. 9: the cross-entropy of the auxiliary classifier, 0 for an unconditional model."""
    logits, class_logits = verdict
    if class_logits is None or labels is None:
        return logits.new_zeros(())
    return F.cross_entropy(wide(class_logits), labels)


def discriminator_loss(discriminator: HAGANDiscriminator, real: Tensor, fake_slab: Tensor, fake_low: Tensor,
                       start: int, labels: Tensor | None, fake_labels: Tensor | None) -> Tensor:  # fmt: skip
    """What D^H and D^L minimise: eq. 4 + eq. 5, and eq. 9 for classes. Each is judged on its own logits, none averaged.

    Args:
        real: (n, 1, S, S, S); its sub-volume is cut at the same `start` as the generated one (synchronised S^H, S^L).
        fake_slab: (n, 1, S/8, S, S), fake_low: (n, 1, S/4, S/4, S/4), both without gradients.
    """
    verdicts = [
        (discriminator.high(select_sub_volume(real, start, discriminator.high.slabs), start), True),
        (discriminator.low(low_resolution(real)), True),
        (discriminator.high(fake_slab, start), False),
        (discriminator.low(fake_low), False),
    ]
    gan = sum((adversarial(verdict, is_real) for verdict, is_real in verdicts), real.new_zeros(()))
    classes = [classification(verdict, labels if is_real else fake_labels) for verdict, is_real in verdicts]
    return gan + torch.stack(classes).sum()


def generator_loss(generator: HAGANGenerator, discriminator: HAGANDiscriminator, z: Tensor, one_hot: Tensor | None,
                   start: int, labels: Tensor | None, lambda_class: float) -> Tensor:  # fmt: skip
    """What G^A, G^L and G^H minimise: eq. 4 + eq. 5 for generated volumes, and `lambda_class` times eq. 9."""
    features = generator.common(z, one_hot)
    high = discriminator.high(generator.sub_volume(features, start), start)
    low = discriminator.low(generator.low(features))
    gan = adversarial(high, True) + adversarial(low, True)
    return gan + lambda_class * (classification(high, labels) + classification(low, labels))


def sub_volume_reconstruction(generator: HAGANGenerator, encoder: HAGANEncoder, real: Tensor, start: int) -> Tensor:
    """Eq. 6: L1 between a sub-volume and G^H(E^H(sub-volume)); minimised over E^H alone."""
    slab = select_sub_volume(real, start, generator.slabs)
    return F.l1_loss(wide(generator.high(encoder.high(slab))), slab)


def volume_reconstruction(generator: HAGANGenerator, encoder: HAGANEncoder, real: Tensor, start: int,
                          one_hot: Tensor | None) -> Tensor:  # fmt: skip
    """Eq. 7: L1 of the low-resolution volume and of one sub-volume, both from z; minimised over E^G alone."""
    with torch.no_grad():
        features = encoder.slab_features(real)
    made = generator.common(encoder.ground(features), one_hot)
    low = F.l1_loss(wide(generator.low(made)), low_resolution(real))
    slab = wide(generator.high(select_features(made, start, generator.size, generator.slabs)))
    return low + F.l1_loss(slab, select_sub_volume(real, start, generator.slabs))
