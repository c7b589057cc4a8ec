"""The latents of an edit: one per strength, value or step."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from contract.edits import InterpolateEdit, MixEdit, MoveEdit, TargetEdit
from contract.fit import unfit
from contract.requests import EditRequest
from latents.directions import Direction, move, reach
from latents.interpolate import lerp, slerp
from latents.mix import mix
from model_store.card import DirectionCard
from workers.steps.plausibility import check_targets
from workers.steps.recipe_events import Latent
from workers.steps.rendering import Renderer


@dataclass(frozen=True, eq=False)
class Stop:
    """A latent of an edit with what sets it apart, and how far along a direction it was moved."""

    latent: Latent
    label: str
    strength: float | None = None


def walk(request: EditRequest, renderer: Renderer, direction: DirectionCard | None) -> Iterator[Stop]:
    """The stops of an edit in order."""
    return _WALKS[request.edit.op](request.edit, renderer, renderer.locate(request.source), direction)


def _move(change: MoveEdit, renderer: Renderer, start: Latent, direction: DirectionCard | None) -> Iterator[Stop]:
    start, along = _set_out(renderer, start, direction)
    for strength in change.strengths:
        yield Stop(Latent(start.space, move(start.values, along, strength)), f"strength={strength:g}", strength)


def _target(change: TargetEdit, renderer: Renderer, start: Latent, direction: DirectionCard | None) -> Iterator[Stop]:
    start, along = _set_out(renderer, start, direction)
    found = [reach(start.values, along, value) for value in change.values]
    check_targets([strength for _, strength in found], change.max_strength)
    for value, (values, strength) in zip(change.values, found, strict=True):
        yield Stop(Latent(start.space, values), f"target={value:g}", strength)


def _interpolate(change: InterpolateEdit, renderer: Renderer, start: Latent, _: DirectionCard | None) -> Iterator[Stop]:
    path = _interpolation(renderer, start, renderer.locate(change.target), change.steps)
    yield from (Stop(latent, f"step={k + 1}/{change.steps}") for k, latent in enumerate(path))


def _mix(change: MixEdit, renderer: Renderer, start: Latent, _: DirectionCard | None) -> Iterator[Stop]:
    first, second = (renderer.in_style_space(latent) for latent in (start, renderer.locate(change.target)))
    yield Stop(Latent("w", mix(first.values, second.values, change.crossover)), f"crossover={change.crossover}")


_WALKS: Mapping[str, Callable[[Any, Renderer, Latent, DirectionCard | None], Iterator[Stop]]] = {
    "move": _move,
    "target": _target,
    "interpolate": _interpolate,
    "mix": _mix,
}
"""By an edit's op."""


def _set_out(renderer: Renderer, start: Latent, direction: DirectionCard | None) -> tuple[Latent, Direction]:
    """Where a walk along a direction starts, in the direction's space. Raises: InvalidRequest."""
    if direction is None:
        raise TypeError("an edit along a direction needs the direction")
    vector = torch.tensor(direction.vector)
    along = Direction(vector, direction.std, direction.slope, direction.intercept, direction.r2, direction.transform)
    return _in_space_of(direction, start, renderer), along


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
        raise unfit("/source/space", "this direction lives in space z; give the source as a seed or in space z")
    return start
