"""The papers' counts of parameters, exact: HA-GAN's table VII, Split&Shuffle-GAN's tables III and VI. Nothing is
trained, nothing allocated."""

from dataclasses import dataclass

import torch
from torch import nn

from model_store.networks.hagan import HAGANDiscriminator, HAGANEncoder, HAGANGenerator
from model_store.networks.split_shuffle import SplitShuffleGenerator
from model_store.networks.split_shuffle_critic import SplitShuffleDiscriminator
from model_store.sizes.split_shuffle import Architecture, Variant

HAGAN = {32: "74.7", 64: "78.7", 128: "79.6", 256: "79.7"}
SPLIT_SHUFFLE: tuple[tuple[str, tuple[int, int, int], Variant, Variant, str], ...] = (
    ("III", (2, 4, 4), "baseline", "baseline", "0.600"),
    ("III", (2, 4, 4), "split", "split", "0.291"),
    ("III", (2, 4, 4), "split-shuffle", "split-shuffle", "0.291"),
    ("III", (2, 4, 4), "baseline", "split-shuffle", "0.416"),
    ("III", (2, 4, 4), "group-d", "group-d", "0.434"),
    ("III", (2, 4, 4), "depthwise-d", "depthwise-d", "0.367"),
    ("VI", (4, 4, 4), "baseline", "baseline", "0.633"),
    ("VI", (4, 4, 4), "split-shuffle", "split-shuffle", "0.325"),
)


@dataclass(frozen=True)
class Row:
    """One line of a paper's table, in millions."""

    paper: str
    table: str
    what: str
    ours: str
    """To as many digits as the paper prints."""
    theirs: str


def rows() -> list[Row]:
    """Both papers', in their order."""
    return [*_hagan(), *_split_shuffle()]


def _hagan() -> list[Row]:
    """Generator, encoder and discriminator together, at full width."""
    found = []
    for size, theirs in HAGAN.items():
        with torch.device("meta"):
            total = _millions(HAGANGenerator(size), HAGANEncoder(size), HAGANDiscriminator(size))
        found.append(Row("HA-GAN", "VII", f"{size}^3", f"{total:.1f}", theirs))
    return found


def _split_shuffle() -> list[Row]:
    """Generator and discriminator together."""
    found = []
    for table, base, of_generator, of_discriminator, theirs in SPLIT_SHUFFLE:
        with torch.device("meta"):
            generator = SplitShuffleGenerator(Architecture(base, variant=of_generator))
            discriminator = SplitShuffleDiscriminator(Architecture(base, variant=of_discriminator))
        what = f"{'x'.join(map(str, base))}, G {of_generator}, D {of_discriminator}"
        total = _millions(generator, discriminator)
        found.append(Row("Split&Shuffle-GAN", table, what, f"{total:.3f}", theirs))
    return found


def _millions(*networks: nn.Module) -> float:
    return sum(weight.numel() for network in networks for weight in network.parameters()) / 1e6
