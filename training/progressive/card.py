"""The card of a model that a run of the bone paper's families makes."""

from model_store.card import LatentSpec, ModelCard, TruncationSpec
from training.engine.card import preparation, trained_card
from training.progressive.config import ProGANConfig, StyleGANConfig
from volumes.scan import Preparation

NETWORK_RANGE = (0.0, 1.0)
"""Of a sigmoid."""


def preparation_of(config: ProGANConfig | StyleGANConfig) -> Preparation:
    """How a scan comes to the network in this run."""
    return preparation(config, config.shape, NETWORK_RANGE)


def card_of(config: ProGANConfig | StyleGANConfig, iterations: int, scans: int) -> ModelCard:
    """The model card of the trained networks; the critic goes with them, for the perceptual term of inversion."""
    network = {
        "base": list(config.base),
        "channels": config.widths,
        "critic": True,
        "critic_channels": config.critic_widths,
    }
    latent, truncation = LatentSpec(z_dim=config.z_dim, w_dim=config.z_dim), TruncationSpec(kind="normal", default=1.8)
    if isinstance(config, StyleGANConfig):
        network |= {"mapping_layers": config.mapping_layers}
        latent = LatentSpec(z_dim=config.z_dim, w_dim=config.w_dim, num_styles=3 * config.stages, has_style_space=True)
        truncation = TruncationSpec(kind="psi", default=0.8)
    return trained_card(
        config,
        preparation_of(config),
        {"adversarial": iterations},
        scans,
        family=config.family,
        latent=latent,
        truncation=truncation,
        network=network,
    )
