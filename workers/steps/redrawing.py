"""Samples that are drawn again while they are unlikely."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from contract.errors import InvalidRequest, NoLikelySample
from workers.steps.recipe_events import Event, Finished, Product, Stage
from workers.steps.rendering import Renderer

MOST_DRAWS = 10
"""Seeds that are tried for one sample."""


def draws(seed: int) -> Iterator[int]:
    """The seeds that are tried for the sample of a seed: itself, then others, so far off that no other sample of a
    request comes upon them. What is tried for a sample depends on its own seed alone."""
    yield seed
    for k in range(1, MOST_DRAWS):
        yield int.from_bytes(hashlib.sha256(f"{seed} {k}".encode()).digest()[:6], "big")


def likely(
    renderer: Renderer, seeds: Sequence[int], least: float, finished: Sequence[Sequence[int]]
) -> Iterator[Event]:
    """Of each seed the first sample among its `draws` whose realism is `least` or more. `finished`: the seeds that an
    earlier attempt tried for the first samples, which are there already.

    Raises:
        InvalidRequest: the model's reference cannot be used.
        NoLikelySample: every draw of a sample is less likely.
    """
    if renderer.is_stale:
        reason = "the model's reference was made with features that this version does not have"
        raise InvalidRequest("Samples cannot be rejected.", [("/reject_below", reason)])
    for k, (_, tried) in enumerate(zip(seeds, finished, strict=False)):
        yield Finished(renderer.with_noise(renderer.draw(tried[-1]), k, tried[-1]))
    for k, seed in list(enumerate(seeds))[len(finished) :]:
        yield from _sample(renderer, k, len(seeds), seed, least)


def _sample(renderer: Renderer, k: int, total: int, seed: int, least: float) -> Iterator[Event]:
    tried: tuple[int, ...] = ()
    best = 0.0
    for drawn in draws(seed):
        tried = (*tried, drawn)
        yield Stage("forward", k, total)
        found = renderer.likely(renderer.with_noise(renderer.draw(drawn), k, drawn), least)
        if isinstance(found, Product):
            yield replace(found, seeds_tried=tried)
            return
        best = max(best, found.realism)
    raise NoLikelySample(
        f"None of {MOST_DRAWS} draws of sample {k} is as realistic as reject_below asks; the best has {best:.3g}."
    )
