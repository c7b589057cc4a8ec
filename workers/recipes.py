"""What a job does, step by step: straight-line code over the rooms. No Redis, no files."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jobs.errors import InvalidRequest, NonFiniteOutput, UnreadableVolume
from jobs.requests import EditRequest, EncodeRequest, GenerateRequest, InterpolateEdit, MoveEdit, TargetEdit
from latents.directions import Direction, move, reach
from latents.interpolate import lerp, slerp
from latents.invert import Descent, refine
from model_store.card import DirectionCard, ModelCard
from volumes.grid import grid_of, resample
from volumes.metrics import SIDE, mae, psnr, ssim
from volumes.scan import Preparation, Prepared, prepare
from volumes.volume import Volume, VolumeError
from workers.bench import Bench
from workers.rendering import Renderer
from workers.steps import Event, Finding, Latent, Product, Stage


def generate(request: GenerateRequest, bench: Bench) -> Iterator[Event]:
    """One volume per seed or latent. Sample k of seed s is the sample of seed s + k."""
    yield Stage("load", 0, request.count)
    renderer = Renderer(bench, request.model, request.class_label, request.truncation, request.noise)
    if request.latents is not None:
        given = [renderer.given(latent, request.latent_space) for latent in request.latents]
        yield from renderer.products([(latent, None) for latent in given])
        return
    if request.seeds is None and request.seed is None:
        raise InvalidRequest("The request names neither seed, seeds nor latents.")
    seeds = request.seeds or [(request.seed or 0) + k for k in range(request.count)]
    yield from renderer.products([(renderer.draw(seed), None) for seed in seeds])


def edit(request: EditRequest, bench: Bench, direction: DirectionCard | None = None) -> Iterator[Event]:
    """One latent, changed: one volume per strength, value or step."""
    yield Stage("load", 0, 1)
    renderer = Renderer(bench, request.model, request.class_label, request.truncation, request.noise)
    yield from renderer.products(list(_walk(request, renderer, direction)))


def _walk(request: EditRequest, renderer: Renderer, direction: DirectionCard | None) -> Iterator[tuple[Latent, str]]:
    """The latents of an edit with what sets each apart."""
    start, change = renderer.locate(request.source), request.edit
    if isinstance(change, InterpolateEdit):
        walk = _interpolation(renderer, start, renderer.locate(change.target), change.steps)
        yield from ((latent, f"step={k + 1}/{change.steps}") for k, latent in enumerate(walk))
    elif isinstance(change, MoveEdit):
        along = _direction(direction, start)
        for strength in change.strengths:
            yield Latent("z", move(start.values, along, strength)), f"strength={strength:g}"
    elif isinstance(change, TargetEdit):
        along = _direction(direction, start)
        for value in change.values:
            yield Latent("z", reach(start.values, along, value)), f"target={value:g}"
    else:
        raise InvalidRequest("This model has no styles to mix.", [("/edit/op", "this model has no styles to mix")])


def _interpolation(renderer: Renderer, start: Latent, end: Latent, steps: int) -> list[Latent]:
    """Slerp where both ends are Gaussian, lerp between styles."""
    if start.space == end.space == "z":
        return [Latent("z", z) for z in slerp(start.values, end.values, steps)]
    first, last = (renderer.styles(latent)[0].cpu() for latent in (start, end))
    return [Latent("w", w) for w in lerp(first, last, steps)]


def _direction(card: DirectionCard | None, start: Latent) -> Direction:
    if card is None:
        raise TypeError("an edit along a direction needs the direction")
    if start.space != card.space:
        raise InvalidRequest("The direction lives in another latent space than the source.")
    return Direction(torch.tensor(card.vector), card.std, card.slope, card.intercept, card.r2)


def encode(request: EncodeRequest, scan: Volume, bench: Bench) -> Iterator[Event]:
    """A scan to its latent; with refine_steps, further down from there; with reconstruct, back to volumes.

    Raises:
        UnreadableVolume: nothing in the scan to encode.
    """
    yield Stage("load", 0, 1)
    renderer = Renderer(bench, request.model, request.class_label)
    yield Stage("prepare", 0, 1)
    try:
        prepared = prepare(scan, preparation(renderer.card, request))
    except VolumeError as err:
        raise UnreadableVolume(err.detail) from err
    yield Stage("encode", 0, 1)
    latent = _encoder_guess(renderer, prepared)
    losses: list[float] = []
    if request.refine_steps:
        for step in _descend(renderer, prepared, latent, request.refine_steps):
            yield Stage("refine", len(losses), request.refine_steps)
            if not math.isfinite(step.best_loss):
                raise NonFiniteOutput("The model gave values that are not finite for this scan.")
            losses.append(step.best_loss)
            latent = Latent(latent.space, step.best)
    yield Finding(latents=[latent], metrics=_refinement(losses) | {"window": list(prepared.window)})
    if request.reconstruct:
        yield from _reconstruct(renderer, prepared, latent)


def preparation(card: ModelCard, request: EncodeRequest) -> Preparation:
    """The card's preprocessing with the request's wishes over it."""
    own, asked = card.preprocess, request.preprocess
    trim = own.trim_blank_slices if asked.trim_blank_slices is None else asked.trim_blank_slices
    return Preparation(
        shape=card.shape,
        axes=card.axes,
        spacing_mm=card.spacing_mm,
        network_range=card.intensity.network_range,
        placement=own.placement,
        trim_blank_slices=trim,
        window=own.window if asked.window is None else (asked.window[0], asked.window[1]),
        quantiles=own.quantiles,
        orientation=asked.orientation,
    )


def _encoder_guess(renderer: Renderer, prepared: Prepared) -> Latent:
    volume = torch.from_numpy(prepared.array)[None, None]

    def forward() -> Tensor:
        with torch.inference_mode():
            return renderer.generator.encode(volume)[0].cpu()

    styles = renderer.bench.attempt(forward, keep=renderer.card.name)
    if not bool(torch.isfinite(styles).all()):
        raise NonFiniteOutput("The encoder gave values that are not finite for this scan.")
    return Latent("w", styles) if renderer.card.latent.has_style_space else Latent("z", styles[0])


def _descend(renderer: Renderer, prepared: Prepared, guess: Latent, steps: int) -> Iterator[Descent]:
    device = renderer.generator.device
    target = torch.from_numpy(prepared.array).to(device)

    def render(values: Tensor) -> Tensor:
        return renderer.generator.synthesise(renderer.styles(Latent(guess.space, values)))[0, 0]

    yield from refine(render, target, guess.values, steps)


def _refinement(losses: list[float]) -> dict[str, Any]:
    """The lowest loss so far at the encoder's guess and after each step; falls by construction."""
    return {"refine_loss": losses} if losses else {}


def _reconstruct(renderer: Renderer, prepared: Prepared, latent: Latent) -> Iterator[Event]:
    """G(E(x)) on the model's grid laid over the scan, and resampled into the scan's own grid."""
    yield Stage("forward", 0, 2)
    own = renderer.volume(latent, grid=prepared.grid)
    yield Product(own, latent, "reconstruction")
    yield Stage("resample", 1, 2)
    background = renderer.card.intensity.network_range[0]
    back = resample(own, grid_of(prepared.scan), background)
    yield Product(back, latent, "reconstruction-scan-grid")
    yield Stage("measure", 2, 2)
    metrics: dict[str, Any] = dict(_compare(renderer.card, own, prepared.seen))
    metrics["mae_units"] = renderer.card.intensity.units
    metrics["scan_grid"] = _compare(renderer.card, back, prepared.scan)
    yield Finding(metrics=metrics)


def _compare(card: ModelCard, made: Volume, real: Volume) -> Mapping[str, float | None]:
    """PSNR (None where the volumes are equal) and SSIM (None under 7 voxels) over the network's range; MAE in the
    card's units."""
    low, high = card.intensity.network_range
    per_unit = (card.intensity.high - card.intensity.low) / (high - low)
    a, b = np.asarray(made.array, dtype=np.float32), np.asarray(real.array, dtype=np.float32)
    ratio = psnr(a, b, high - low)
    return {
        "psnr": ratio if math.isfinite(ratio) else None,
        "ssim": ssim(a, b, high - low) if min(a.shape) >= SIDE else None,
        "mae": mae(a, b) * per_unit,
    }
