"""The latents of an edit: one per strength, value or step."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from contract.errors import InvalidRequest
from contract.requests import EditRequest, InterpolateEdit, MixEdit, MoveEdit
from latents.directions import Direction, move, reach
from latents.interpolate import lerp, slerp
from latents.mix import mix
from model_store.card import DirectionCard
from workers.recipe_events import Latent
from workers.rendering import Renderer


@dataclass(frozen=True, eq=False)
class Stop:
    """A latent of an edit with what sets it apart, and how far along a direction it was moved where nobody said so."""

    latent: Latent
    label: str
    strength: float | None = None


def walk(request: EditRequest, renderer: Renderer, direction: DirectionCard | None) -> Iterator[Stop]:
    """The stops of an edit in order."""
    start, change = renderer.locate(request.source), request.edit
    if isinstance(change, InterpolateEdit):
        path = _interpolation(renderer, start, renderer.locate(change.target), change.steps)
        yield from (Stop(latent, f"step={k + 1}/{change.steps}") for k, latent in enumerate(path))
    elif isinstance(change, MixEdit):
        if not renderer.card.latent.has_style_space:
            raise InvalidRequest("This model has no styles to mix.", [("/edit/op", "this model has no styles to mix")])
        first, second = (renderer.in_style_space(latent) for latent in (start, renderer.locate(change.target)))
        yield Stop(Latent("w", mix(first.values, second.values, change.crossover)), f"crossover={change.crossover}")
    else:
        if direction is None:
            raise TypeError("an edit along a direction needs the direction")
        start = _in_space_of(direction, start, renderer)
        along = Direction(
            torch.tensor(direction.vector), direction.std, direction.slope, direction.intercept, direction.r2
        )
        if isinstance(change, MoveEdit):
            for strength in change.strengths:
                yield Stop(Latent(start.space, move(start.values, along, strength)), f"strength={strength:g}")
        else:
            for value in change.values:
                values, strength = reach(start.values, along, value)
                yield Stop(Latent(start.space, values), f"target={value:g}", strength)


def _interpolation(renderer: Renderer, start: Latent, end: Latent, steps: int) -> list[Latent]:
    """Slerp between Gaussian latents; lerp between styles, where the model has them."""
    if not renderer.card.latent.has_style_space:
        return [Latent("z", z) for z in slerp(start.values, end.values, steps)]
    first, last = (renderer.in_style_space(latent).values for latent in (start, end))
    return [Latent("w", w) for w in lerp(first, last, steps)]


def _in_space_of(direction: DirectionCard, start: Latent, renderer: Renderer) -> Latent:
    """Raises: InvalidRequest, where the direction is of z and the source a style."""
    if direction.space == "w":
        return renderer.in_style_space(start)
    if start.space == "w":
        raise InvalidRequest(
            "The request does not fit the model.",
            [("/source/space", "this direction lives in space z; give the source as a seed or in space z")],
        )
    return start
