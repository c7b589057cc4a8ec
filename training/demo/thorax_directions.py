"""What the thorax model's samples measure in HU, and its named directions: regressions of that on z."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from latents.directions import fit_regression
from latents.sample import gaussian
from model_store.card import DirectionCard, ModelCard
from model_store.generator import Generator
from training.phantoms.canvas import Mask
from volumes.attributes import measure
from volumes.grids.grid import from_network, own_grid
from volumes.intensity import to_stored
from volumes.volume import Volume

Measurement = Callable[[Volume], float]
SAMPLES = 120
AIR_HU, LOW_HU, BONE_HU = -500.0, -950.0, 200.0
"""Below the first is lung, below the second emphysema, above the third bone."""


@dataclass(frozen=True)
class Named:
    """A direction's name, and the attribute that it changes."""

    name: str
    attribute: str
    units: str
    measurement: Measurement


@torch.no_grad()
def sample(model: Generator, z: Tensor, label: int) -> Volume:
    """What z (d,) and a class make, in HU."""
    made = model.synthesise(model.map(z[None], label), None)[0, 0].float().cpu().numpy()
    return in_hu(made, model.card)


def in_hu(network_array: np.ndarray, card: ModelCard) -> Volume:
    """A network's output (A0, A1, A2) in stored units, RAS order."""
    ends = card.intensity
    stored = to_stored(network_array, ends.low, ends.high, ends.network_range, "int16", "stored")
    return Volume(from_network(stored, card.axes), own_grid(card.shape, card.axes, card.spacing_mm).affine)


def lungs_of(volume: Volume) -> Mask:
    """The air inside the body, its small parts left out: what touches neither a side nor the front or back."""
    parts, _ = ndimage.label(np.asarray(volume.array) < AIR_HU)
    outside = np.unique(np.concatenate([parts[[0, -1]].ravel(), parts[:, [0, -1]].ravel()]))
    sizes = np.bincount(parts.ravel())
    sizes[outside] = 0
    sizes[0] = 0
    kept = np.flatnonzero(sizes > max(0.1 * sizes.max(), 0))
    inside: Mask = np.isin(parts, kept)
    return inside


def lung_volume_ml(volume: Volume) -> float:
    """Of the lungs' air."""
    return int(lungs_of(volume).sum()) * float(np.prod(volume.spacing_mm)) / 1000


def low_attenuation(volume: Volume) -> float:
    """Share of the lungs below -950 HU, the usual measure of emphysema."""
    inside = np.asarray(volume.array)[lungs_of(volume)]
    return float((inside < LOW_HU).mean())


def bone_volume_ml(volume: Volume) -> float:
    """Of what is above 200 HU."""
    return measure(volume, "volume_above", BONE_HU)


DIRECTIONS = (
    Named("lung-volume", "lung volume", "mL", lung_volume_ml),
    Named("bone-volume", "volume above 200 HU", "mL", bone_volume_ml),
)


def write_directions(folder: Path, model: Generator, count: int = SAMPLES) -> list[DirectionCard]:
    """Regress every attribute on z over seeds 0 .. count - 1, in the classes by turns, into the model's folder."""
    target, classes = folder / "directions", len(model.card.classes)
    target.mkdir(exist_ok=True)
    z = torch.stack([gaussian(seed, model.card.latent.z_dim, None) for seed in range(count)])
    volumes = [sample(model, row, seed % classes) for seed, row in enumerate(z)]
    cards = []
    for named in DIRECTIONS:
        values = torch.tensor([named.measurement(volume) for volume in volumes], dtype=torch.float64)
        found = fit_regression(z, values)
        cards.append(
            DirectionCard(
                name=named.name,
                method="regression",
                attribute=named.attribute,
                vector=found.vector.tolist(),
                std=found.std,
                slope=found.slope,
                intercept=found.intercept,
                ridge=found.ridge,
                r2=found.r2,
                units=named.units,
                model_sha256=model.card.sha256,
            )
        )
    for card in cards:
        (target / f"{card.name}.json").write_text(card.model_dump_json(indent=1) + "\n")
    return cards
