"""A prepared scan to its latent: the encoder's guess or the mean latent, and the descent from there."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from contract.errors import NonFiniteOutput
from contract.requests import EncodeRequest
from latents.invert import FAR_RATE, RATE, Descent, Objective, Prior, refine
from latents.sample import gaussian
from volumes.scan import Prepared
from workers.steps.recipe_events import Event, Finding, Latent, Stage
from workers.steps.rendering import Renderer

STEPS_FROM_MEAN = 100
"""Of a model without an encoder where the request names none: the paper's number of updates (section 3.5)."""
DRAWS = 256
"""Samples of the mapping by which the spread of its styles is measured."""
SPREAD_FLOOR = 0.1
"""Of the mean spread: a coordinate in which styles hardly differ is not to hold all of the others still."""


def invert(request: EncodeRequest, renderer: Renderer, prepared: Prepared) -> Iterator[Event]:
    """The latent of a scan, with the course of its refinement among the metrics.

    Raises:
        NonFiniteOutput: no volume of the guess, or no guess.
    """
    yield Stage("encode", 0, 1)
    latent = _guess(renderer, prepared)
    steps = request.refine_steps or (0 if renderer.card.has_encoder else STEPS_FROM_MEAN)
    metrics: dict[str, Any] = {}
    if steps:
        losses: list[float] = []
        for step in _descend(renderer, prepared, latent, steps):
            yield Stage("refine", step.step, steps)
            if step.best_loss == float("inf"):
                raise NonFiniteOutput("The model gave values that are not finite for this scan.")
            losses.append(step.best_loss)
        latent = Latent(latent.space, step.best)
        metrics = {"refine_steps": step.step, "refine_loss": losses, "refine_terms": step.terms}
        metrics |= {"refine_diverged_at": step.step} if step.diverged else {}
    yield Finding(latents=[latent], metrics=metrics | {"window": list(prepared.window)})


def _guess(renderer: Renderer, prepared: Prepared) -> Latent:
    """The encoder's, or the mean latent of a model without one."""
    styled = renderer.card.latent.has_style_space
    if not renderer.card.has_encoder:
        return Latent("w", renderer.mean_style()) if styled else Latent("z", torch.zeros(renderer.card.latent.z_dim))
    volume = torch.from_numpy(prepared.array)[None, None]

    def forward() -> Tensor:
        with torch.inference_mode():
            return renderer.generator.encode(volume)[0].cpu().clone()

    styles = renderer.bench.attempt(forward, keep=renderer.card.name)
    if not bool(torch.isfinite(styles).all()):
        raise NonFiniteOutput("The encoder gave values that are not finite for this scan.")
    return Latent("w", styles) if styled else Latent("z", styles[0])


def _descend(renderer: Renderer, prepared: Prepared, guess: Latent, steps: int) -> Iterator[Descent]:
    """The hybrid inversion on the worker's device; where its memory runs out, once more without the other models."""
    generator, bench = renderer.generator, renderer.bench

    def render(values: Tensor) -> Tensor:
        return generator.synthesise(renderer.styles(Latent(guess.space, values)))[0, 0]

    def features(volume: Tensor) -> Tensor | None:
        maps = generator.critic_features(volume[None, None])
        return maps[-1] if maps else None

    def attempt(evaluate: Callable[[], dict[str, float]]) -> dict[str, float]:
        return bench.attempt(evaluate, keep=renderer.card.name)

    target = torch.from_numpy(prepared.array).to(generator.device)
    rate = RATE if renderer.card.has_encoder else FAR_RATE
    yield from refine(Objective(render, target, _prior(renderer), features), guess.values, steps, rate, attempt)


def _prior(renderer: Renderer) -> Prior:
    """z is standard normal by definition; where styles lie is measured on the mapping."""
    card = renderer.card
    if not card.latent.has_style_space:
        return Prior(torch.zeros(card.latent.z_dim), torch.ones(card.latent.z_dim))
    z = torch.stack([gaussian(seed, card.latent.z_dim) for seed in range(DRAWS)])
    labels = range(len(card.classes)) if renderer.label is None else [renderer.label]
    classes: Sequence[int | None] = labels or [None]
    with torch.no_grad():
        parts = [renderer.generator.map(z[k :: len(classes)], label) for k, label in enumerate(classes)]
    spread = torch.cat(parts).float().cpu().std(0).mean(0)
    return Prior(renderer.mean_style(), spread.clamp_min(SPREAD_FLOOR * float(spread.mean())))
