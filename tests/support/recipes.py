"""Recipes as tests call them: a request, and what it works from, to its events."""

from collections.abc import Iterator

from contract.requests import AnyRequest, EncodeRequest
from model_store.card import DirectionCard
from volumes.volume import Volume
from workers.bench import Bench
from workers.recipes import RECIPES, Job
from workers.steps.recipe_events import Event


def performed(request: AnyRequest, bench: Bench, direction: DirectionCard | None = None) -> Iterator[Event]:
    return RECIPES[request.kind](Job(request, bench, direction=direction))


def encode(request: EncodeRequest, scan: Volume | None, bench: Bench) -> Iterator[Event]:
    return RECIPES[request.kind](Job(request, bench, scan))
