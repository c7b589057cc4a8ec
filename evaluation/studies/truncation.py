"""What the bone paper shows of its models (table 1, figures 6, 8, C.9 and C.10), of any generator.

What truncation costs, which styles carry an attribute, and whether realism follows how bad a volume is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from evaluation.distances.frechet import Features, frechet
from evaluation.distances.neighbours import manifold, realism
from evaluation.samples import Made
from evaluation.studies.damage import KINDS
from latents.directions import fit_regression, point
from latents.mix import mix
from latents.sample import gaussian
from model_store.card import TruncationSpec
from model_store.features.network import FeatureNetwork, features_of
from model_store.generator import Generator
from volumes.orientation import from_network

Unit = NDArray[np.float32]
"""(X, Y, Z) in [0, 1], RAS order."""
LEVELS = {"psi": (1.0, 0.8, 0.7, 0.4, 0.1), "normal": (2.6, 1.8, 1.0, 0.2)}
"""By the kind of truncation: those of table 1 and of figures C.10 and C.9."""
UNTRUNCATED = {"psi": 1.0, "normal": 10.0}
GRADES = (1, 2, 3, 4, 5)
"""As the paper's experts gave them, from good to bad."""
FOREGROUND = 0.12
"""Of the intensity range: what is brighter is not air."""


@dataclass(frozen=True)
class Truncated:
    """Samples at one level, held against the reference."""

    level: float
    fid: float
    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True)
class Attribute:
    """How well a latent predicts an attribute: R2 of held-out samples; None where all samples have it alike."""

    name: str
    z: float | None
    w: float | None


@dataclass(frozen=True)
class Mixed:
    """How far samples take an attribute from the source of the first `crossover` styles: 1 wholly, 0 not at all."""

    crossover: int
    shares: dict[str, float]


@dataclass(frozen=True)
class Graded:
    """Spearman's correlation between the grade of damage and realism; below 0 where realism falls as it should."""

    features: str
    kind: str
    correlation: float
    medians: dict[int, float]
    """Realism by grade."""


def levels_of(truncation: TruncationSpec) -> tuple[float, ...]:
    return LEVELS[truncation.kind]


def samples(model: Generator, count: int, seed: int, level: float | None = None) -> Iterator[Unit]:
    """Of seeds seed .. seed + count - 1 at a level of truncation; None: untruncated."""
    at = UNTRUNCATED[model.card.truncation.kind] if level is None else level
    for sample in Made(model.card, lambda: model, count, seed, at, None):
        yield sample.make().unit


def seen_by(network: FeatureNetwork, volumes: Iterable[Unit]) -> Features:
    """(n, d)."""
    rows = [features_of(network, torch.from_numpy(np.ascontiguousarray(unit))[None, None])[0] for unit in volumes]
    return torch.stack(rows).double().numpy()


def truncated(level: float, reference: Features, made: Features) -> Truncated:
    return Truncated(level, frechet(reference, made), **asdict(manifold(reference, made)))


def attributes(unit: Unit) -> dict[str, float]:
    """How much there is that is not air, as a share of the grid, and its mean brightness."""
    inside = unit > FOREGROUND
    return {"size": float(inside.mean()), "brightness": float(unit[inside].mean()) if inside.any() else 0.0}


def predicted(model: Generator, seed: int, found: Sequence[dict[str, float]]) -> list[Attribute]:
    """Of untruncated samples of seeds seed .., whose attributes were `found`."""
    z = torch.stack([gaussian(seed + k, model.card.latent.z_dim) for k in range(len(found))])
    with torch.inference_mode():
        w = torch.stack([point(row) for row in model.map(z, _label(model)).cpu()])
    told = []
    for name in found[0]:
        values = torch.tensor([row[name] for row in found])
        told.append(Attribute(name, _r2(z, values), _r2(w, values)))
    return told


def _r2(latents: torch.Tensor, values: torch.Tensor) -> float | None:
    try:
        return fit_regression(latents, values, ridge=None).r2
    except ValueError:  # all alike
        return None


@torch.inference_mode()
def mixed(model: Generator, pairs: int, seed: int) -> Iterator[Mixed]:
    """At every crossover, of pairs of samples; of a model with a style space. The share is the least squares slope of
    what an attribute moved from the target over what it would move to be the source's."""
    z = torch.stack([gaussian(seed + k, model.card.latent.z_dim) for k in range(2 * pairs)])
    w = model.map(z, _label(model))
    own = [attributes(_unit(model, row)) for row in w]
    for crossover in range(1, model.card.latent.num_styles):
        made = [attributes(_unit(model, mix(w[2 * k], w[2 * k + 1], crossover))) for k in range(pairs)]
        shares = {}
        for name in own[0]:
            way = np.array([own[2 * k][name] - own[2 * k + 1][name] for k in range(pairs)])
            gone = np.array([made[k][name] - own[2 * k + 1][name] for k in range(pairs)])
            shares[name] = float(way @ gone / (way @ way)) if way.any() else 0.0
        yield Mixed(crossover, shares)


def damaged(volumes: Sequence[Unit]) -> Iterator[tuple[str, int, Unit]]:
    """Each volume in one kind and grade of damage, in turn: (kind, grade, volume)."""
    places = [(kind, grade) for grade in GRADES for kind in KINDS]
    for k, unit in enumerate(volumes):
        kind, grade = places[k % len(places)]
        yield kind, grade, KINDS[kind](unit, (grade - 1) / (len(GRADES) - 1))


def graded(
    network: FeatureNetwork, reference: Sequence[Unit], worse: Sequence[tuple[str, int, Unit]]
) -> Iterator[Graded]:
    """Of all kinds together and of each."""
    found = realism(seen_by(network, reference), seen_by(network, (unit for _, _, unit in worse)))
    grades, kinds = np.array([grade for _, grade, _ in worse]), np.array([kind for kind, _, _ in worse])
    for kind in ("all", *dict.fromkeys(kind for kind, _, _ in worse)):
        chosen = np.full(len(kinds), fill_value=True) if kind == "all" else kinds == kind
        medians = {
            grade: float(np.median(found[chosen & (grades == grade)])) for grade in np.unique(grades[chosen]).tolist()
        }
        yield Graded(network.name, kind, float(spearmanr(grades[chosen], found[chosen])[0]), medians)


def _unit(model: Generator, w: torch.Tensor) -> Unit:
    low, high = model.card.intensity.network_range
    array = model.synthesise(w[None])[0, 0].sub(low).div(high - low).clamp(0, 1).cpu().numpy()
    return np.asarray(from_network(array, model.card.axes), np.float32)


def _label(model: Generator) -> int | None:
    return 0 if model.card.classes else None
