"""The parts of a trained model's card, and the preparation of its scans, that are the same for every family."""

from collections.abc import Sequence
from typing import Any, TypeVar

from model_store.card import AnyCard, IntensitySpec, ModelCard, PreprocessSpec, Provenance
from model_store.folder import software_version
from training.engine.command_line import command_of
from training.engine.config import CourseConfig, RunConfig
from training.engine.data import Spacing
from training.engine.spacing import is_nominal, middle_spacing
from volumes.intensity import Range
from volumes.scan import Preparation

Card = TypeVar("Card", bound=AnyCard)
UNIT_RANGE = (0.0, 255.0)
"""Stored values of a model whose scans were windowed by their own quantiles."""
UNTOLD_MM = (1.0, 1.0, 1.0)
"""In a preparation that stretches scans, where voxel sizes decide nothing."""


def preparation(config: RunConfig, shape: tuple[int, int, int], network_range: Range = (-1.0, 1.0)) -> Preparation:
    """How a scan comes to the network in this run."""
    return Preparation(
        shape=shape,
        axes=config.axes,
        spacing_mm=config.spacing_mm or UNTOLD_MM,
        network_range=network_range,
        placement=config.placement,
        trim_blank_slices=config.trim_blank_slices,
        window=config.window,
    )


def trained_card(config: RunConfig, how: Preparation, iterations: dict[str, int], scans: int,
                 **family: Any) -> ModelCard:  # fmt: skip
    """The card of a run's networks.

    Args:
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
        provenance=Provenance(origin="trained", iterations=iterations, notes=f"Trained on {scans} scans."),
        **family,
    )


def completed(card: Card, config: CourseConfig, spacings: Sequence[Spacing]) -> Card:
    """A family's card with what every run's has: title, licence, the command that makes it, and the size in mm.

    Args:
        spacings: of the network's grid over each scan.
    """
    told, command = card.provenance, command_of(config)
    made = {"notes": f"{told.notes} Then: {command}".strip()} if told.command else {"command": command}
    provenance = told.model_copy(update={**made, "software_version": software_version()})
    changes: dict[str, Any] = {"provenance": provenance}
    changes |= {name: text for name in ("title", "licence") if (text := getattr(config, name))}
    if isinstance(card, ModelCard) and isinstance(config, RunConfig) and spacings and config.placement == "stretch":
        chosen = config.spacing_mm or middle_spacing(spacings)
        changes |= {"spacing_mm": chosen, "spacing_is_nominal": is_nominal(spacings, chosen)}
    return card.model_copy(update=changes)


def _intensity(config: RunConfig, network_range: Range) -> IntensitySpec:
    """The window in its units, where there is one."""
    low, high = config.window or UNIT_RANGE
    units = (config.units or ("HU" if config.modality == "CT" else "a.u.")) if config.window else "a.u."
    return IntensitySpec(low=low, high=high, units=units, network_range=network_range)
