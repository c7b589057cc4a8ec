"""What a job does, step by step: straight-line code over the rooms. No Redis, no files."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from contract.errors import InvalidRequest, UnreadableVolume
from contract.requests import EditRequest, EncodeRequest, GenerateRequest, LatentSource, SeedSource, TargetEdit
from model_store.card import DirectionCard, ModelCard
from volumes.grid import grid_of, resample
from volumes.scan import Preparation, Prepared, prepare
from volumes.similarity import SIDE, mae, psnr, ssim
from volumes.volume import Volume, VolumeError
from workers.bench import Bench
from workers.edits import walk
from workers.inversion import invert
from workers.recipe_events import Event, Finding, Latent, Product, Stage
from workers.rendering import Renderer
from workers.units import MEASURED, in_units


def generate(request: GenerateRequest, bench: Bench, finished: int = 0) -> Iterator[Event]:
    """One volume per seed or latent but for the first `finished`. Sample k of seed s is the sample of seed s + k."""
    yield Stage("load", 0, request.count)
    renderer = _renderer(request, bench)
    if request.latents is not None:
        given = [renderer.given(latent, request.latent_space) for latent in request.latents]
        noisy = [renderer.with_noise(latent, k) for k, latent in enumerate(given)]
    elif request.seeds is None and request.seed is None:
        raise InvalidRequest("The request names neither seed, seeds nor latents.")
    else:
        seeds = request.seeds or [(request.seed or 0) + k for k in range(request.count)]
        noisy = [renderer.with_noise(renderer.draw(seed), k, seed) for k, seed in enumerate(seeds)]
    yield from renderer.products([(latent, None) for latent in noisy], finished)


def edit(
    request: EditRequest, bench: Bench, direction: DirectionCard | None = None, finished: int = 0
) -> Iterator[Event]:
    """One latent, changed: one volume per strength, value or step, all with the same noise, but for the first
    `finished`."""
    yield Stage("load", 0, 1)
    renderer = _renderer(request, bench)
    stops = list(walk(request, renderer, direction))
    yield from renderer.products([(renderer.with_noise(stop.latent), stop.label) for stop in stops], finished)
    if isinstance(request.edit, TargetEdit):
        yield Finding(metrics={"strengths": [stop.strength for stop in stops]})


def _renderer(request: GenerateRequest | EditRequest, bench: Bench) -> Renderer:
    return Renderer(
        bench,
        request.model,
        class_label=request.class_label,
        truncation=request.truncation,
        cutoff=request.truncation_cutoff,
        noise=request.noise,
        noise_seed=request.noise_seed,
    )


def encode(request: EncodeRequest, scan: Volume | None, bench: Bench) -> Iterator[Event]:
    """A scan, or the sample that the request names, to its latent; with refine_steps, further down from there; with
    reconstruct, back to volumes.

    Raises:
        UnreadableVolume: nothing in the scan to encode.
    """
    yield Stage("load", 0, 1)
    renderer = Renderer(bench, request.model, request.class_label)
    yield Stage("prepare", 0, 1)
    if scan is None:
        assert isinstance(request.source, SeedSource | LatentSource)
        made = renderer.volume(renderer.locate(request.source))
        scan = Volume(in_units(np.asarray(made.array, dtype=np.float32), renderer.card, MEASURED), made.affine)
    try:
        prepared = prepare(scan, preparation(renderer.card, request))
    except VolumeError as err:
        raise UnreadableVolume(err.detail) from err
    found: list[Latent] = []
    for event in invert(request, renderer, prepared):
        if isinstance(event, Finding):
            found = event.latents or []
        yield event
    if request.reconstruct:
        yield from _reconstruct(renderer, prepared, found[0])


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
        extent_mm=own.extent_mm,
        orientation=asked.orientation,
    )


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
        "ssim": ssim(a, b, high - low, torch.get_num_threads()) if min(a.shape) >= SIDE else None,
        "mae": mae(a, b) * per_unit,
    }
