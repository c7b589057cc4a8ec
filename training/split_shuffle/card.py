"""The card of a model that a Split&Shuffle-GAN run makes, and the preparation of scans that both share."""

from model_store.card import LatentSpec, ModelCard, TruncationSpec
from training.engine.card import preparation, trained_card
from training.split_shuffle.config import SplitShuffleConfig
from volumes.scan import Preparation

MEAN_OVER = 4096
"""Latents over which the mean style is taken."""


def preparation_of(config: SplitShuffleConfig) -> Preparation:
    """How a scan comes to the network in this run."""
    return preparation(config, config.shape)


def card_of(config: SplitShuffleConfig, iterations: int, scans: int) -> ModelCard:
    """The model card of the trained networks; the discriminator goes along, for the perceptual term of inversion."""
    done = {"adversarial": iterations}
    if config.pretrain_2d:
        done |= {"pretraining_2d": config.pretrain_2d}
    styles = 2 * config.doublings + 2
    return trained_card(
        config,
        preparation_of(config),
        done,
        scans,
        family="split-shuffle",
        latent=LatentSpec(z_dim=config.z_dim, w_dim=config.w_dim, num_styles=styles, has_style_space=True),
        truncation=TruncationSpec(kind="psi"),
        network={
            "base": list(config.architecture.base),
            "doublings": config.doublings,
            "channels": config.channels,
            "variant": config.variant,
            "critic": True,
        },
    )
