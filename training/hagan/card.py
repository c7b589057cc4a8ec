"""The card of a model that a HA-GAN run makes, and the preparation of scans that both share."""

from model_store.card import LatentSpec, ModelCard
from training.engine.card import preparation, trained_card
from training.hagan.config import HAGANConfig
from volumes.scan import Preparation


def preparation_of(config: HAGANConfig) -> Preparation:
    """How a scan comes to the network in this run."""
    return preparation(config, (config.size, config.size, config.size))


def card_of(config: HAGANConfig, iterations: int, scans: int) -> ModelCard:
    """The model card of the trained networks."""
    return trained_card(
        config,
        preparation_of(config),
        {"adversarial": iterations},
        scans,
        family="hagan",
        latent=LatentSpec(z_dim=config.latent_dim, w_dim=config.latent_dim),
        classes=config.classes,
        has_encoder=True,
        network={"width": config.width},
    )
