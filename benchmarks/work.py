"""The arithmetic of networks, counted from their layers' shapes."""

from collections.abc import Iterator
from dataclasses import dataclass

from model_store.card import ModelCard


@dataclass(frozen=True)
class Work:
    """GFLOP per pass, a multiplication and an addition counted apart; biases, norms and activations left out."""

    plain: float
    """Forward, upsampled tensors convolved with 27 taps."""
    folded: float
    """Forward, upsampling folded into the convolution: 8 taps per voxel."""
    encoder: float


def conv_gflop(before: int, after: int, taps: int, voxels: int) -> float:
    """A convolution with `taps` taps per output voxel."""
    return 2 * before * after * taps * voxels / 1e9


def hagan_work(card: ModelCard) -> Work:
    """Tables I and III (generator), IV and V (encoder) of the HA-GAN paper."""
    size, width, latent = card.shape[0], int(card.network["width"]), card.latent.z_dim
    encoder = sum(_hagan_encoder(size, width, latent)) if card.has_encoder else 0.0
    return Work(sum(_hagan_generator(size, width, latent, 27)), sum(_hagan_generator(size, width, latent, 8)), encoder)


def _hagan_generator(size: int, width: int, latent: int, upsampling_taps: int) -> Iterator[float]:
    edge = 4
    yield conv_gflop(latent, 16 * width * edge**3, 1, 1)  # fc1
    yield conv_gflop(16 * width, 16 * width, 27, edge**3)
    for before, after in ((16, 16), (16, 8), (8, 4), (4, 2)):
        doubles = edge < size // 4
        edge = 2 * edge if doubles else edge
        yield conv_gflop(before * width, after * width, upsampling_taps if doubles else 27, edge**3)
    yield conv_gflop(2 * width, width, upsampling_taps, (size // 2) ** 3)
    yield conv_gflop(width, 1, upsampling_taps, size**3)


def _hagan_encoder(size: int, width: int, latent: int) -> Iterator[float]:
    """All eight sub-volumes together; the ground encoder halves until 4^3."""
    yield conv_gflop(1, width, 64, (size // 2) ** 3)
    yield conv_gflop(width, width, 27, (size // 2) ** 3)
    yield conv_gflop(width, 2 * width, 64, (size // 4) ** 3)
    edge, before = size // 4, 2 * width
    halvings = (edge // 4).bit_length() - 1
    for after in (width, 2 * width, 4 * width, 8 * width)[4 - halvings :]:
        edge //= 2
        yield conv_gflop(before, after, 64, edge**3)
        before = after
    yield conv_gflop(before, latent, 64, 1)
