"""Table VI of HA-GAN's paper (Sun et al. 2022) on phantoms: what ridge regression reads of features about a volume.

The paper predicts logarithms of FEV1pp, FEV1/FVC and %emphysema of 9276 people. Of a phantom its lung volume, its bone
volume and its severity of emphysema are known; the first two by their logarithms, for a severity of 0 has none.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.distances.spread import RESAMPLES
from evaluation.studies.markdown import markdown
from latents.ridge import RIDGE, chosen_ridge, ridge_fit
from model_store.features.network import FeatureNetwork, features_of

Array = NDArray[np.float64]
ATTRIBUTES = ("log lung volume", "log bone volume", "severity")
MEASUREMENTS = ("log FEV1pp", "log FEV1/FVC", "log %emphysema")
PAPER = {
    "VAE-GAN": (0.215, 0.315, 0.375),
    "alpha-GAN": (0.512, 0.622, 0.738),
    "HA-GAN": (0.555, 0.657, 0.746),
}
"""R2 of MEASUREMENTS."""


@dataclass(frozen=True)
class Row:
    """R2 on held-out volumes of one attribute from one kind of features."""

    features: str
    size: int
    """Numbers a volume."""
    attribute: str
    r2: float
    """With the paper's ridge, RIDGE."""
    r2_chosen: float
    """With the ridge that cross-validation among the training volumes chooses."""
    ridge: float
    interval: tuple[float, float]
    """Of `r2_chosen`: 95% of bootstraps over held-out volumes, of one fit."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def row_of(network: FeatureNetwork, unit: NDArray[np.float32]) -> Array:
    """Features (d,) of one volume (X, Y, Z) in [0, 1], RAS order."""
    return features_of(network, torch.from_numpy(np.ascontiguousarray(unit))[None, None])[0].double().numpy()


def r2_of(truth: Array, predicted: Array) -> float:
    """1 - residuals / deviations from the truth's own mean: 0 for that mean, below 0 for what is worse."""
    return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def judged(features: str, attribute: str, fit: tuple[Array, Array], test: tuple[Array, Array], seed: int) -> Row:
    """Ridge regression on `fit`, features (n, d) and values (n,), held against `test` (m, d), (m,).

    Features are scaled by the fit's own means and deviations, so that a ridge means the same to all.

    Raises:
        ValueError: fewer than two volumes to fit.
    """
    middle, scale = fit[0].mean(axis=0), fit[0].std(axis=0)
    scale = np.where(scale > 1e-9 * max(float(scale.max()), 1e-300), scale, np.inf)  # what never varies says nothing
    x, out = (torch.from_numpy((side[0] - middle) / scale) for side in (fit, test))
    y, truth = torch.from_numpy(fit[1]), test[1]
    chosen = chosen_ridge(x, y, range(len(y)))
    coefficients, intercepts = ridge_fit(x, y, [RIDGE, chosen])
    predicted = (out @ coefficients + intercepts).numpy()
    source = np.random.default_rng([seed, len(truth), 6])
    draws = source.integers(0, len(truth), (RESAMPLES, len(truth)))
    found = [r2_of(truth[draw], predicted[draw, 1]) for draw in draws if np.ptp(truth[draw]) > 0]
    low, high = np.quantile(found, (0.025, 0.975)) if found else (np.nan, np.nan)
    r2, r2_chosen = (r2_of(truth, predicted[:, k]) for k in range(2))
    return Row(features, fit[0].shape[1], attribute, r2, r2_chosen, chosen, (float(low), float(high)))


def table(rows: Iterable[Row]) -> str:
    """Markdown: one line for each kind of features, then the paper's of its own measurements."""
    head = ("features", "numbers", *(f"{name}: ridge 1e-4" if k == 0 else "ridge chosen [95%]"
            for name in ATTRIBUTES for k in range(2)))  # fmt: skip
    by_features: dict[str, list[Row]] = {}
    for row in rows:
        by_features.setdefault(row.features, []).append(row)
    lines = [
        (name, str(own[0].size), *(cell for row in own for cell in (f"{row.r2:.3f}", _interval(row))))
        for name, own in by_features.items()
    ]
    beside = ("the paper's", *MEASUREMENTS)
    paper = [(name, *(f"{value:.3f}" for value in values)) for name, values in PAPER.items()]
    return markdown(head, lines) + "\n" + markdown(beside, paper)


def _interval(row: Row) -> str:
    return f"{row.r2_chosen:.3f} [{row.interval[0]:.2f}, {row.interval[1]:.2f}]"
