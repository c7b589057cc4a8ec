"""The parts of a trained model's card, and the preparation of its scans, that are the same for every family."""

from typing import Any

from model_store.card import IntensitySpec, ModelCard, PreprocessSpec, Provenance
from training.engine.config import RunConfig
from volumes.intensity import Range
from volumes.scan import Preparation

UNIT_RANGE = (0.0, 255.0)
"""Stored values of a model whose scans were windowed by their own quantiles."""


def preparation(config: RunConfig, shape: tuple[int, int, int], network_range: Range = (-1.0, 1.0)) -> Preparation:
    """How a scan comes to the network in this run."""
    return Preparation(
        shape=shape,
        axes=config.axes,
        spacing_mm=config.spacing_mm,
        network_range=network_range,
        placement=config.placement,
        trim_blank_slices=config.trim_blank_slices,
        window=config.window,
    )


def trained_card(config: RunConfig, how: Preparation, command: str, iterations: dict[str, int], scans: int,
                 **family: Any) -> ModelCard:  # fmt: skip
    """The card of a run's networks.

    Args:
        command: the command line after `voxelsmith train`, without paths.
        family: the card's fields that the family decides: family, latent, truncation, network, ...
    """
    return ModelCard(
        name=config.name,
        modality=config.modality,
        anatomy=config.anatomy,
        shape=how.shape,
        axes=how.axes,
        spacing_mm=how.spacing_mm,
        spacing_is_nominal=how.placement == "stretch",
        intensity=_intensity(config, how.network_range),
        preprocess=PreprocessSpec(placement=how.placement, trim_blank_slices=how.trim_blank_slices, window=how.window),
        provenance=Provenance(
            origin="trained",
            command=f"voxelsmith train {command} --seed {config.seed}",
            iterations=iterations,
            notes=f"Trained on {scans} scans.",
        ),
        **family,
    )


def _intensity(config: RunConfig, network_range: Range) -> IntensitySpec:
    """The window in its units, where there is one."""
    low, high = config.window or UNIT_RANGE
    units = (config.units or ("HU" if config.modality == "CT" else "a.u.")) if config.window else "a.u."
    return IntensitySpec(low=low, high=high, units=units, network_range=network_range)
