"""Finding directions: by regression on given or measured samples, or from the weights alone."""

from collections.abc import Iterator

import torch

from jobs.errors import InvalidRequest
from jobs.requests import FitDirectionRequest, Measure, RegressionFit, SefaFit
from latents.directions import fit_regression
from latents.sefa import sefa
from model_store.card import DirectionCard, ModelCard
from volumes.intensity import to_stored
from volumes.measure import measure
from volumes.volume import Volume
from workers.bench import Bench
from workers.rendering import Renderer
from workers.steps import Event, Finding, Latent, Stage

MEASURED_TYPE = "float32"


def fit_direction(request: FitDirectionRequest, bench: Bench) -> Iterator[Event]:
    """One direction by regression, or `count` by SeFa."""
    yield Stage("load", 0, 1)
    if isinstance(request.fit, SefaFit):
        yield from _fit_sefa(request.model, request.fit, bench)
    else:
        yield from _fit_regression(request.model, request.fit, bench)


def _fit_sefa(model: str, fit: SefaFit, bench: Bench) -> Iterator[Event]:
    """A prior of N(0, I) has standard deviation 1 along every unit direction."""
    generator = bench.generator(model)
    yield Stage("fit", 0, 1)
    names = [f"{fit.name_prefix}-{k + 1}" for k in range(fit.count)]
    digest = generator.card.sha256
    for name, vector in zip(names, sefa(generator.style_matrices(), fit.count), strict=True):
        yield Finding(
            direction=DirectionCard(name=name, method="sefa", vector=vector.tolist(), std=1.0, model_sha256=digest)
        )
    yield Finding(metrics={"directions": names})


def _fit_regression(model: str, fit: RegressionFit, bench: Bench) -> Iterator[Event]:
    # A conditional model's samples go through its classes in turn: the direction is to hold for all of them.
    classes = range(len(bench.card(model).classes)) or [None]
    renderers = [Renderer(bench, model, class_label=label) for label in classes]
    card = renderers[0].card
    latents: list[Latent] = []
    values: list[float] = []
    if fit.samples is not None:
        latents = [renderers[0].locate(sample.source) for sample in fit.samples]
        values = [sample.value for sample in fit.samples]
    for k in range(fit.num_samples if fit.measure is not None else 0):
        yield Stage("forward", k, fit.num_samples)
        renderer = renderers[k % len(renderers)]
        latents.append(renderer.draw(k))  # seeds 0, 1, 2, ...
        values.append(_measured(renderer.volume(latents[-1]), card, fit.measure))
    yield Stage("fit", len(values), len(values))
    direction = _regress(latents, values, fit, card)
    yield Finding(
        direction=direction, metrics={"directions": [fit.name], "r2": direction.r2, "num_samples": len(values)}
    )


def _regress(latents: list[Latent], values: list[float], fit: RegressionFit, card: ModelCard) -> DirectionCard:
    if any(latent.space != "z" for latent in latents):
        raise InvalidRequest("A regression takes samples in the latent space z.")
    points = torch.stack([latent.values for latent in latents])
    try:
        found = fit_regression(points, torch.tensor(values, dtype=torch.float64))
    except ValueError as err:
        raise InvalidRequest(f"No direction can be fitted to these samples: {err}.") from err
    return DirectionCard(
        name=fit.name,
        method="regression",
        attribute=fit.attribute,
        vector=found.vector.tolist(),
        std=found.std,
        slope=found.slope,
        intercept=found.intercept,
        r2=found.r2,
        units=_units(fit.measure, card),
        model_sha256=card.sha256,
    )


def _measured(volume: Volume, card: ModelCard, how: Measure | None) -> float:
    """A measurement in the card's stored units."""
    if how is None:
        raise TypeError("a measured fit names its measurement")
    low, high, span = card.intensity.low, card.intensity.high, card.intensity.network_range
    stored = to_stored(volume.array, low, high, span, MEASURED_TYPE)
    return measure(Volume(stored, volume.affine), how.name, how.threshold)


def _units(how: Measure | None, card: ModelCard) -> str:
    if how is None:
        return ""
    return card.intensity.units if how.name == "mean_intensity" else "mL"
