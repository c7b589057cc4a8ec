"""The card of a model that a training run makes, and the preparation of scans that both share."""

from model_store.card import IntensitySpec, LatentSpec, ModelCard, PreprocessSpec, Provenance
from training.config import HAGANConfig
from volumes.scan import Preparation

UNIT_RANGE = (0.0, 255.0)
"""Stored values of a model whose scans were windowed by their own quantiles."""


def preparation_of(config: HAGANConfig) -> Preparation:
    """How a scan comes to the network in this run."""
    return Preparation(
        shape=(config.size, config.size, config.size),
        axes=config.axes,
        spacing_mm=config.spacing_mm,
        placement=config.placement,
        trim_blank_slices=config.trim_blank_slices,
        window=config.window,
    )


def card_of(config: HAGANConfig, iterations: int, scans: int) -> ModelCard:
    """The model card of the trained networks."""
    low, high = config.window or UNIT_RANGE
    return ModelCard(
        name=config.name,
        family="hagan",
        modality=config.modality,
        anatomy=config.anatomy,
        shape=(config.size, config.size, config.size),
        axes=config.axes,
        spacing_mm=config.spacing_mm,
        spacing_is_nominal=config.placement == "stretch",
        latent=LatentSpec(z_dim=config.latent_dim, w_dim=config.latent_dim),
        intensity=IntensitySpec(low=low, high=high, units=config.units if config.window else "a.u."),
        preprocess=PreprocessSpec(
            placement=config.placement, trim_blank_slices=config.trim_blank_slices, window=config.window
        ),
        classes=config.classes,
        has_encoder=True,
        network={"width": config.width},
        provenance=Provenance(
            origin="trained",
            command=f"voxelsmith train hagan --size {config.size} --width {config.width} "
            f"--latent-dim {config.latent_dim} --seed {config.seed}",
            iterations={"adversarial": iterations},
            notes=f"Trained on {scans} scans.",
        ),
    )
