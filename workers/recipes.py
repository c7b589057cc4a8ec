"""What a job does, step by step: straight-line code over the rooms. No Redis, no files."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from contract.errors import InvalidRequest, UnreadableVolume
from contract.fields import JobSource
from contract.job_request import JobRequest
from contract.requests import (
    EditRequest,
    EncodeRequest,
    FitDirectionRequest,
    GenerateRequest,
    TranslateRequest,
)
from contract.state import Placement
from model_store.card import DirectionCard, ModelCard
from volumes.grids.grid import Grid, grid_of, in_ras_order, resample
from volumes.scan import Preparation, Prepared, preparation_by, prepare
from volumes.similarity import SIDE, mae, psnr, ssim
from volumes.volume import Volume, VolumeError
from workers.bench import Bench
from workers.steps import plausibility
from workers.steps.edits import walk
from workers.steps.fitting import fit_direction
from workers.steps.inversion import invert
from workers.steps.recipe_events import Event, Finding, Finished, Latent, Product, ScanDigest, Stage
from workers.steps.redrawing import likely
from workers.steps.rendering import Renderer
from workers.steps.scoring import STALE
from workers.steps.translation import translated
from workers.writing.units import MEASURED, in_units

R = TypeVar("R", bound=JobRequest)


@dataclass(eq=False)
class Job(Generic[R]):
    """What a recipe works from."""

    request: R
    bench: Bench
    scan: Volume | None = None
    """That came along."""
    direction: DirectionCard | None = None
    """That the request follows."""
    placement: Placement | None = None
    """Of the scan that the volumes are laid on."""
    finished: int = 0
    """How many volumes an earlier attempt has made."""
    scan_sha256: str = ""
    """Of the scan's file."""
    mask: Volume | None = None
    """Of pathologies, on the scan's grid."""
    seeds_tried: Sequence[Sequence[int]] = ()
    """Of each finished volume, where other seeds were tried than its own."""

    def take_scan(self) -> Volume:
        """The scan, which the job holds no longer: of a large one the result needs the memory."""
        assert self.scan is not None
        scan, self.scan = self.scan, None
        return scan


def generate(job: Job[GenerateRequest]) -> Iterator[Event]:
    """One volume per seed or latent but for the finished ones. Sample k of seed s is the sample of seed s + k."""
    request = job.request
    yield Stage("load", 0, request.volumes)
    renderer = _renderer(request, job.bench)
    if request.latents is not None:
        given = [renderer.given(latent, request.latent_space) for latent in request.latents]
        noisy = [renderer.with_noise(latent, k) for k, latent in enumerate(given)]
    elif request.seeds is None and request.seed is None:
        raise InvalidRequest("The request names neither seed, seeds nor latents.")
    else:
        seeds = request.seeds or [(request.seed or 0) + k for k in range(request.samples)]
        if request.reject_below is not None:
            yield from likely(renderer, seeds, request.reject_below, job.seeds_tried)
            return
        noisy = [renderer.with_noise(renderer.draw(seed), k, seed) for k, seed in enumerate(seeds)]
    yield from renderer.products([(latent, None) for latent in noisy], job.finished)
    if renderer.is_stale:
        yield Finding(warnings=_stale(renderer))


def edit(job: Job[EditRequest]) -> Iterator[Event]:
    """One latent, changed: one volume per strength, value or step, all with the same noise, but for the finished
    ones. Of a scan's latent each comes twice: on the model's grid laid over the scan, and on the scan's own."""
    yield Stage("load", 0, job.request.volumes)
    renderer = _renderer(job.request, job.bench)
    stops = list(walk(job.request, renderer, job.direction))
    latents = [(renderer.with_noise(stop.latent), stop.label) for stop in stops]
    if job.placement is None:
        yield from renderer.products(latents, job.finished)
    else:
        yield from _on_scan(renderer, job.placement, latents, job.finished)
        yield Finding(placement=job.placement)
    strengths = [stop.strength for stop in stops]
    doubts = [
        *(plausibility.of_direction(job.direction) if job.direction else ()),
        *plausibility.of_strengths(strengths),
        *_stale(renderer),
    ]
    yield Finding(metrics={"strengths": strengths} if job.request.targets else None, warnings=doubts)


def _on_scan(
    renderer: Renderer, placement: Placement, latents: Sequence[tuple[Latent, str]], finished: int
) -> Iterator[Event]:
    """The first `finished` volumes are there already; there may be the first of a pair among them."""
    above = Grid(in_ras_order(renderer.card.shape, renderer.card.axes), np.array(placement.model_affine))
    x, y, z = placement.scan_shape
    own = Grid((x, y, z), np.array(placement.scan_affine))
    for done, (latent, label) in zip(range(0, 2 * len(latents), 2), latents, strict=True):
        if finished >= done + 2:
            yield from (Finished(latent), Finished(latent))
            continue
        yield Stage("forward", done, 2 * len(latents))
        made, score = renderer.scored(latent, grid=above)
        yield Finished(latent) if finished > done else Product(made, latent, label, score=score)
        yield Stage("resample", done + 1, 2 * len(latents))
        background = renderer.card.intensity.network_range[0]
        yield Product(resample(made, own, background), latent, f"{label} scan-grid", score=score)


def _stale(renderer: Renderer) -> list[str]:
    return [STALE] if renderer.is_stale else []


def _renderer(request: GenerateRequest | EditRequest, bench: Bench) -> Renderer:
    return Renderer(
        bench,
        request.model,
        class_label=request.class_label,
        truncation=request.truncation,
        cutoff=request.truncation_cutoff,
        noise=request.noise,
        noise_seed=request.noise_seed,
        is_scored=request.is_scored,
    )


def encode(job: Job[EncodeRequest]) -> Iterator[Event]:
    """A scan, or the sample that the request names, to its latent; with refine_steps, further down from there; with
    reconstruct, back to volumes.

    Raises:
        InvalidRequest: no scan.
        UnreadableVolume: nothing in the scan to encode.
    """
    request = job.request
    yield Stage("load", 0, 1)
    renderer = Renderer(job.bench, request.model, request.class_label)
    yield Stage("prepare", 0, 1)
    scan = job.scan or _made_here(request, renderer)
    try:
        prepared = prepare(scan, preparation(renderer.card, request))
    except VolumeError as err:
        raise UnreadableVolume(err.detail) from err
    found: list[Latent] = []
    for event in invert(request, renderer, prepared):
        if isinstance(event, Finding):
            found = event.latents or []
        yield event
    yield Finding(placement=_placement(prepared, scan), warnings=[*plausibility.of_scan(scan, prepared, renderer.card)])
    if request.reconstruct:
        yield from _reconstruct(renderer, prepared, found[0])


def _made_here(request: EncodeRequest, renderer: Renderer) -> Volume:
    """The sample that stands for the scan, in the card's units. Raises: InvalidRequest, where there is none."""
    if request.source is None or isinstance(request.source, JobSource):
        raise InvalidRequest("An encode needs a volume.")
    made = renderer.volume(renderer.locate(request.source))
    return Volume(in_units(np.asarray(made.array, dtype=np.float32), renderer.card, MEASURED), made.affine)


def preparation(card: ModelCard, request: EncodeRequest) -> Preparation:
    """The card's preprocessing with the request's wishes over it."""
    own, asked = preparation_by(card), request.preprocess
    trim = own.trim_blank_slices if asked.trim_blank_slices is None else asked.trim_blank_slices
    window = own.window if asked.window is None else (asked.window[0], asked.window[1])
    return replace(own, trim_blank_slices=trim, window=window, orientation=asked.orientation)


def _placement(prepared: Prepared, scan: Volume) -> Placement:
    return Placement(
        model_affine=prepared.grid.affine.tolist(),
        scan_shape=list(prepared.scan.shape),
        scan_affine=prepared.scan.affine.tolist(),
        assumed=[*scan.assumed],
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
    yield Finding(metrics=metrics, warnings=[*plausibility.of_reconstruction(metrics["ssim"])])


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


def _fit(job: Job[FitDirectionRequest]) -> Iterator[Event]:
    """One direction by regression, or several by SeFa."""
    yield Stage("load", 0, 1)
    yield from fit_direction(job.request, job.bench)


def _translate(job: Job[TranslateRequest]) -> Iterator[Event]:
    """One scan in the appearance of the model's target domain."""
    yield Stage("load", 0, 1)
    translator = job.bench.translator(job.request.model)
    if job.scan is None:
        raise InvalidRequest("A translation needs a volume.")
    yield from translated(job.request, translator, job.take_scan(), job.mask, ScanDigest(job.scan_sha256))


RECIPES: Mapping[str, Callable[[Job[Any]], Iterator[Event]]] = {
    GenerateRequest.kind: generate,
    EncodeRequest.kind: encode,
    EditRequest.kind: edit,
    TranslateRequest.kind: _translate,
    FitDirectionRequest.kind: _fit,
}
"""From a request's kind to what is done."""
