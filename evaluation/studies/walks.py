"""Figure 5 of HA-GAN's paper: a latent moved until a regression predicts a volume of tissue, and what is measured then.

Section IV-E: the total volume of a tissue is regressed on the encoded latents by least squares; a random latent moves
along the coefficients until the target is predicted. Where encoded latents do not spread as random ones do, which an
encoder that is not finished does not achieve, what is predicted is not met; so a latent moves by even steps as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from evaluation.studies.markdown import markdown
from evaluation.studies.tissues import Spacing
from latents.directions import Direction, fit_regression, point, reach
from latents.sample import gaussian
from model_store.generator import Generator
from volumes.orientation import from_network, in_ras_order

Array = NDArray[np.float64]
Measure = Callable[[NDArray[np.float32], Spacing], float]
"""Of a volume (X, Y, Z) in the card's units, RAS order."""
STOPS = 7
INNER = (0.05, 0.95)
"""Quantiles of the training volumes between which targets lie."""
FARTHEST = 2.0
"""Of steps, in deviations of random latents along the direction."""
Way = Literal["ml", "deviations"]
"""What is asked for: a volume that the regression is to predict, or how far the latent moves."""


@dataclass(frozen=True)
class Walk:
    """Along one tissue's direction, from each start to each stop."""

    tissue: str
    way: Way
    r2: float | None
    """Of the direction's regression, in cross-validation among its own volumes."""
    stops: Array
    """(t,), in what `way` says."""
    measured: Mapping[str, Array]
    """(starts, t) of each tissue, in ml."""

    @property
    def spearman(self) -> float:
        """Mean over starts, of stop and measured volume; 0 for a start whose volume never changes."""
        return float(np.mean([_rank(self.stops, line) for line in self.measured[self.tissue]]))

    def slope(self, tissue: str) -> float:
        """Measured ml of a tissue for each ml or deviation asked for, by least squares within starts."""
        step, lines = self.stops - self.stops.mean(), self.measured[tissue]
        return float((lines @ step).mean() / (step @ step))

    def as_json(self) -> dict[str, Any]:
        """With means over starts."""
        means = {tissue: lines.mean(axis=0).round(1).tolist() for tissue, lines in self.measured.items()}
        slopes = {tissue: self.slope(tissue) for tissue in self.measured}
        return {"tissue": self.tissue, "way": self.way, "r2": self.r2, "stops": self.stops.round(3).tolist(),
                "measured_ml": means, "spearman": self.spearman, "slope": slopes}  # fmt: skip


def _rank(stops: Array, line: Array) -> float:
    return 0.0 if np.ptp(line) == 0 else float(stats.spearmanr(stops, line).statistic)


def direction_of(latents: Array, volumes_ml: Array) -> Direction:
    """The regression of a tissue's volume on latents (n, d).

    Raises:
        ValueError: too few volumes, or all of one size.
    """
    return fit_regression(torch.from_numpy(latents).float(), torch.from_numpy(volumes_ml))


def stops_of(way: Way, volumes_ml: Array) -> Array:
    """(STOPS,), evenly apart."""
    low, high = (-FARTHEST, FARTHEST) if way == "deviations" else (float(end) for end in np.quantile(volumes_ml, INNER))
    return np.linspace(low, high, STOPS)


@torch.inference_mode()
def walked(model: Generator, tissue: str, direction: Direction, way: Way, stops: Array, starts: torch.Tensor,
           measures: Mapping[str, Measure], see: Callable[[int, int, NDArray[np.float32]], None]) -> Walk:  # fmt: skip
    """Move each of `starts` (n, num_styles, d) to each stop and measure all tissues.

    Args:
        see: called with (start, stop, volume) for each.
    """
    spacing = in_ras_order(model.card.spacing_mm, model.card.axes)
    found = {name: np.zeros((len(starts), len(stops))) for name in measures}
    for row, start in enumerate(starts):
        for column, stop in enumerate(stops):
            hu = volume_of(model, _moved(start, direction, way, float(stop), starts)[None])
            for name, measure in measures.items():
                found[name][row, column] = measure(hu, spacing)
            see(row, column, hu)
    return Walk(tissue, way, direction.r2, stops, found)


def _moved(start: torch.Tensor, direction: Direction, way: Way, stop: float, starts: torch.Tensor) -> torch.Tensor:
    if way == "ml":
        return reach(start, direction, stop)[0]
    spread = (starts.double() - starts.double().mean(0)).square().mean().sqrt()
    return start + (stop * spread * direction.vector.double()).to(start)


def volume_of(model: Generator, w: torch.Tensor) -> NDArray[np.float32]:
    """(1, num_styles, d) -> (X, Y, Z) in the card's units, RAS order."""
    low, high = model.card.intensity.network_range
    unit = (model.synthesise(w)[0, 0].float().cpu().numpy().clip(low, high) - low) / (high - low)
    span = model.card.intensity.high - model.card.intensity.low
    return from_network((unit * span + model.card.intensity.low).astype(np.float32), model.card.axes)


def as_rows(features: Array, w_dim: int) -> Array:
    """Encoded latents (n, num_styles * w_dim) -> (n, w_dim): what a regression sees of each."""
    return np.stack([point(torch.from_numpy(one).reshape(-1, w_dim)).numpy() for one in features])


def starts(model: Generator, count: int, seed: int) -> torch.Tensor:
    """Random latents (count, num_styles, w_dim), of seeds seed .. seed + count - 1."""
    z = torch.stack([gaussian(seed + k, model.card.latent.z_dim) for k in range(count)])
    return model.map(z).cpu()


def table(walks: list[Walk]) -> str:
    """Markdown."""
    tissues = list(dict.fromkeys(walk.tissue for walk in walks))
    head = ("along the direction of", "R2 of its regression", "asked for", "measured ml", "Spearman",
            *(f"{tissue} ml for each asked" for tissue in tissues))  # fmt: skip
    return markdown(head, [_line(walk, tissues) for walk in walks])


def _line(walk: Walk, tissues: list[str]) -> list[str]:
    own, digits = walk.measured[walk.tissue].mean(axis=0), 0 if walk.way == "ml" else 1
    asked = f"{walk.stops[0]:.{digits}f} to {walk.stops[-1]:.{digits}f} {walk.way}"
    slopes = [f"{walk.slope(tissue):.2f}" for tissue in tissues]
    told = [asked, f"{own[0]:.0f} to {own[-1]:.0f}", f"{walk.spearman:.2f}", *slopes]
    return [walk.tissue, "-" if walk.r2 is None else f"{walk.r2:.2f}", *told]
