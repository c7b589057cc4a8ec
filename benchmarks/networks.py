"""A measuring process: one way of computing one pass of a network."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.children import answer, peak_bytes
from benchmarks.matrix import rate_gflops, synchronise
from benchmarks.names import model_name
from benchmarks.results import LOW, PLAIN, Pass, precision_of
from benchmarks.subjects import SUBJECTS, Subject
from jobs.settings import Settings
from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from model_store.load import settle_float32
from workers.main import bench_of


def run_pass(
    part: str,
    subject: str,
    size: int,
    way: str,
    models: str,
    output: str,
    device: str,
    threads: int,
    repeats: int,
    matrix_edge: int,
) -> dict[str, Any]:
    """A Pass as a dictionary; the last output goes to the file `output` (npy)."""
    if threads:
        torch.set_num_threads(threads)
    place, chosen = torch.device(device), SUBJECTS[subject]
    name = model_name(subject, size)
    catalogue = Catalogue([Path(models) / name])
    card = catalogue.card(name)
    assert isinstance(card, ModelCard)
    once = _prepare(part, way, chosen, card, catalogue, place, threads)
    with torch.inference_mode():
        result = once()  # weights into caches, memory from the system, kernels chosen
        seconds = []
        for _ in range(repeats):
            del result
            synchronise(place)
            begun = time.perf_counter()
            result = once()
            synchronise(place)
            seconds.append(time.perf_counter() - begun)
    on_cuda = place.type == "cuda"
    peak, device_peak = peak_bytes() or 0, torch.cuda.max_memory_allocated(place) if on_cuda else None
    np.save(output, result.float().cpu().numpy())
    work = chosen.work(card)
    gflop = work.encoder if part == "encoder" else work.plain if way == PLAIN else work.folded
    # On CUDA the rates of the machine part hold; there a clock does not drift as on a shared CPU.
    rate = 0.0 if on_cuda else rate_gflops(place, precision_of(way), matrix_edge)
    return asdict(Pass(part, subject, size, way, seconds, peak, device_peak, gflop, rate))


def _prepare(
    part: str, way: str, subject: Subject, card: ModelCard, catalogue: Catalogue, device: torch.device, threads: int
) -> Callable[[], Tensor]:
    """The pass as a function without arguments; its weights and its input are in place."""
    z = gaussian(0, card.latent.z_dim)[None]
    volume = torch.rand(1, 1, *card.shape, generator=torch.Generator().manual_seed(0))
    low, high = card.intensity.network_range
    volume = volume.mul_(high - low).add_(low).to(device)
    if way == PLAIN:
        if device.type == "cuda":
            settle_float32("float32")
        plain = subject.plain(catalogue.folder(card.name), card, device)
        return (lambda: plain.encode(volume)) if part == "encoder" else (lambda: plain.synthesise(z))
    asked = {"device": str(device), "precision": precision_of(way), "low_memory": way.endswith(LOW), "threads": threads}
    bench = bench_of(Settings.model_validate(asked), catalogue)
    if device.type == "cuda":
        bench.warm_up(card.name)  # as a worker does before its first job
    ours = bench.generator(card.name)
    return (lambda: ours.encode(volume)) if part == "encoder" else (lambda: ours.synthesise(ours.map(z)))


if __name__ == "__main__":
    answer(run_pass)
