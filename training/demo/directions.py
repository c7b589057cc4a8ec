"""The named directions of the demo model: known axes of z, each with an attribute measured on generated volumes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latents.directions import fit_regression
from model_store.card import DirectionCard, ModelCard
from model_store.generator import Generator
from training.demo.anatomy import AXES, STRIPPED_MEAN

Measurement = Callable[[Tensor, ModelCard], float]
BRIGHT = 0.12
"""Of the intensity range: darker is air, fluid or bone."""


@dataclass(frozen=True)
class Named:
    """A direction's name, its axis of z, and the attribute that it changes."""

    name: str
    axis: int
    attribute: str
    units: str
    measurement: Measurement
    centre: float = 0.0
    """Where on the axis the samples lie, which the attribute is measured on."""
    std: float = 1.0


def bright_volume_ml(unit: Tensor, card: ModelCard) -> float:
    """(A0, A1, A2) in [0, 1]: volume of what is not dark."""
    return float((unit > BRIGHT).sum()) * _voxel_ml(card)


def head_length_mm(unit: Tensor, card: ModelCard) -> float:
    """Extent along A1 (front to back) of the vault: the upper 45% of the box, without single outliers."""
    vault = unit[: int(unit.shape[0] * 0.45)] > BRIGHT
    profile = vault.sum(dim=(0, 2)).double().cumsum(0)
    inside = (profile > 0.005 * profile[-1]) & (profile < 0.995 * profile[-1])
    return float(inside.sum()) * card.spacing_mm[1]


def brightness(unit: Tensor, card: ModelCard) -> float:
    """Mean stored value of what is not dark."""
    low, high = card.intensity.low, card.intensity.high
    return float(unit[unit > BRIGHT].mean()) * (high - low) + low


def _voxel_ml(card: ModelCard) -> float:
    a, b, c = card.spacing_mm
    return a * b * c / 1000


# No direction for the ventricles: at this sharpness the change along their axis cannot be seen or measured.
DIRECTIONS = (
    Named("head-size", AXES["size"].start, "bright volume", "ml", bright_volume_ml),
    Named("head-length", AXES["length"].start, "length of the vault", "mm", head_length_mm),
    Named("brightness", AXES["brightness"].start, "mean intensity", "a.u.", brightness),
    Named("skull-stripping", AXES["subject"].start, "bright volume", "ml", bright_volume_ml,
          centre=STRIPPED_MEAN / 2, std=STRIPPED_MEAN / 3),
)  # fmt: skip


@torch.no_grad()
def measure_direction(named: Named, model: Generator, count: int, seed: int) -> DirectionCard:
    """Regress the attribute on the axis over `count` generated volumes; R2 on held-out samples.

    Of one head: the others' attributes differ by more than any direction is for. Everything else but the axis itself
    varies at half its usual spread, and so counts against R2.
    """
    source = torch.Generator().manual_seed(seed)
    z = 0.5 * torch.randn(count, model.card.latent.z_dim, generator=source)
    along = torch.linspace(-1.7, 1.7, count) * named.std + named.centre
    z[:, AXES["subject"]] = 0.0
    z[:, named.axis] = along
    low, high = model.card.intensity.network_range
    values = []
    for row in z:
        volume = model.synthesise(model.map(row[None]), None)[0, 0].cpu()
        values.append(named.measurement((volume - low) / (high - low), model.card))
    found = fit_regression(along[:, None], torch.tensor(values, dtype=torch.float64))
    vector = torch.zeros(z.shape[1])
    vector[named.axis] = 1.0
    sign = float(found.vector[0])
    return DirectionCard(
        name=named.name,
        method="regression",
        attribute=named.attribute,
        vector=vector.tolist(),
        std=named.std,
        slope=None if found.slope is None else sign * found.slope,
        intercept=found.intercept,
        r2=found.r2,
        units=named.units,
        model_sha256=model.card.sha256,
    )


def write_directions(folder: Path, model: Generator, count: int = 16) -> list[DirectionCard]:
    """Measure and write every direction into the model's folder."""
    target = folder / "directions"
    target.mkdir(exist_ok=True)
    cards = [measure_direction(named, model, count, seed=k) for k, named in enumerate(DIRECTIONS)]
    for card in cards:
        (target / f"{card.name}.json").write_text(card.model_dump_json(indent=1) + "\n")
    return cards
