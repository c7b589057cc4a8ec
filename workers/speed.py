"""How fast a bench makes volumes, and with how much memory: measured, not guessed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from contract.fields import SeedSource
from workers.bench import Bench
from workers.device.memory import limit_bytes, peak_bytes
from workers.steps.rendering import Renderer

T = TypeVar("T")


@dataclass(frozen=True)
class Speed:
    """Of one model on one device."""

    model: str
    shape: tuple[int, int, int]
    device: str
    precision: str
    threads: int
    load_s: float
    first_s: float
    """The first volume, with all that is prepared once."""
    volume_s: float
    """The second one: what each of many takes."""
    needs_bytes: int
    """Estimated peak of a generate."""
    may_use_bytes: int


def measure(bench: Bench, model: str) -> Speed:
    """Makes two volumes and stores none. Raises: as `Bench.generator`, and what the memory does not hold."""
    load_s, renderer = _timed(lambda: Renderer(bench, model))
    first_s, _ = _timed(lambda: renderer.volume(renderer.locate(SeedSource(seed=0))))
    volume_s, _ = _timed(lambda: renderer.volume(renderer.locate(SeedSource(seed=1))))
    is_cuda = bench.device.type == "cuda"
    return Speed(
        model=model,
        shape=renderer.card.shape,
        device=f"{bench.device} ({torch.cuda.get_device_name(bench.device)})" if is_cuda else str(bench.device),
        precision=bench.precision,
        threads=torch.get_num_threads(),
        load_s=load_s,
        first_s=first_s,
        volume_s=volume_s,
        needs_bytes=peak_bytes(renderer.card, {"synthesise"}, bench.precision, bench.low_memory, bench.device),
        may_use_bytes=limit_bytes(bench.device, bench.limit_bytes),
    )


def _timed(step: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    made = step()
    return time.perf_counter() - begun, made
