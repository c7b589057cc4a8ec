"""Finding directions: by regression on given or measured samples, or from the weights alone."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from contract.direction_fits import Measure, RegressionFit, SefaFit
from contract.errors import InvalidRequest
from contract.requests import FitDirectionRequest
from latents.directions import fit_regression, point
from latents.sefa import sefa
from model_store.card import DirectionCard, ModelCard
from volumes.attributes import measure
from volumes.volume import Volume
from workers.bench import Bench
from workers.steps.plausibility import of_direction
from workers.steps.recipe_events import Event, Finding, Latent, Stage
from workers.steps.rendering import Renderer
from workers.writing.units import MEASURED, in_units

DRAWS = 512
"""Samples by which the spread of styles along a direction is measured."""


def fit_direction(request: FitDirectionRequest, bench: Bench) -> Iterator[Event]:
    """One direction by regression, or `count` by SeFa."""
    yield from _FITS[request.fit.method](request.model, request.fit, bench)


def _fit_sefa(model: str, fit: SefaFit, bench: Bench) -> Iterator[Event]:
    """In w where there are styles (bone paper, eq. 11), in z otherwise."""
    renderers = _renderers(bench, model)
    card = renderers[0].card
    yield Stage("fit", 0, 1)
    names = [f"{fit.name_prefix}-{k + 1}" for k in range(fit.count)]
    vectors = sefa(renderers[0].generator.style_matrices(), fit.count, fit.unit_rows)
    for name, vector in zip(names, vectors, strict=True):
        yield Finding(
            direction=DirectionCard(
                name=name,
                method="sefa",
                unit_rows=fit.unit_rows,
                space=_space(card),
                vector=vector.tolist(),
                std=_spread_along(vector, renderers),
                model_sha256=card.sha256,
            )
        )
    yield Finding(metrics={"directions": names})


def _renderers(bench: Bench, model: str) -> list[Renderer]:
    """One per class: a conditional model's samples go through its classes in turn, for a direction holds in all."""
    classes = range(len(bench.generator(model).card.classes)) or [None]
    return [Renderer(bench, model, class_label=label) for label in classes]


def _space(card: ModelCard) -> Literal["z", "w"]:
    return "w" if card.latent.has_style_space else "z"


def _spread_along(vector: Tensor, renderers: list[Renderer]) -> float:
    """Standard deviation of latents along a unit vector: 1 for z ~ N(0, I), measured for styles."""
    if not renderers[0].card.latent.has_style_space:
        return 1.0
    drawn = [renderers[k % len(renderers)].draw(k) for k in range(DRAWS)]
    points = torch.stack([_point(latent, renderers[k % len(renderers)]) for k, latent in enumerate(drawn)])
    return float((points @ vector.double()).std())


def _point(latent: Latent, renderer: Renderer) -> Tensor:
    """What a direction sees of a latent (d,): z, or the mean of a w's rows."""
    return point((renderer.in_style_space(latent) if renderer.card.latent.has_style_space else latent).values)


def _fit_regression(model: str, fit: RegressionFit, bench: Bench) -> Iterator[Event]:
    renderers = _renderers(bench, model)
    card = renderers[0].card
    points: list[Tensor] = []
    values: list[float] = []
    if fit.samples is not None:
        points = [_point(renderers[0].locate(sample.source), renderers[0]) for sample in fit.samples]
        values = [sample.value for sample in fit.samples]
    for k in range(fit.num_samples if fit.measure is not None else 0):
        yield Stage("forward", k, fit.num_samples)
        renderer = renderers[k % len(renderers)]
        latent = renderer.draw(k)  # seeds 0, 1, 2, ...
        points.append(_point(latent, renderer))
        values.append(_measured(renderer.volume(latent), card, fit.measure))
    yield Stage("fit", len(values), len(values))
    direction = _regress(points, values, fit, card)
    yield Finding(
        direction=direction,
        metrics={"directions": [fit.name], "r2": direction.r2, "num_samples": len(values)},
        warnings=[*of_direction(direction)],
    )


def _regress(points: list[Tensor], values: list[float], fit: RegressionFit, card: ModelCard) -> DirectionCard:
    ridge = None if fit.ridge == "cross-validation" else fit.ridge
    groups = fit.groups if fit.samples is not None else range(len(values))
    try:
        found = fit_regression(
            torch.stack(points), torch.tensor(values, dtype=torch.float64), ridge, groups, fit.transform
        )
    except ValueError as err:
        raise InvalidRequest(f"No direction can be fitted to these samples: {err}.") from err
    return DirectionCard(
        name=fit.name,
        method="regression",
        attribute=fit.attribute,
        space=_space(card),
        vector=found.vector.tolist(),
        std=found.std,
        slope=found.slope,
        intercept=found.intercept,
        transform=found.transform,
        ridge=found.ridge,
        groups=len(set(groups)) if len(set(groups)) < len(values) else None,
        r2=found.r2,
        units=_units(fit.measure, card),
        model_sha256=card.sha256,
    )


def _measured(volume: Volume, card: ModelCard, how: Measure | None) -> float:
    """A measurement in the card's stored units."""
    if how is None:
        raise TypeError("a measured fit names its measurement")
    return measure(Volume(in_units(volume.array, card, MEASURED), volume.affine), how.name, how.threshold)


def _units(how: Measure | None, card: ModelCard) -> str:
    if how is None:
        return ""
    return card.intensity.units if how.name == "mean_intensity" else "mL"


_FITS: Mapping[str, Callable[[str, Any, Bench], Iterator[Event]]] = {"sefa": _fit_sefa, "regression": _fit_regression}
"""By a fit's method."""
