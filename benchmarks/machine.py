"""A measuring process: what this machine is, and its matrix-product rates."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import torch

from benchmarks.children import answer
from benchmarks.matrix import rate_gflops
from benchmarks.results import Machine
from model_store.load import Precision, settle_float32
from workers.device.devices import cores


def describe(device: str, threads: int, precisions: Sequence[str], matrix_edge: int) -> dict[str, Any]:
    """A Machine as a dictionary, or {} where it lacks the device."""
    place = torch.device(device)
    if place.type == "cuda" and not torch.cuda.is_available():
        return {}
    load_average = os.getloadavg()[0]
    if threads:
        torch.set_num_threads(threads)
    names = tuple(precisions) or usable_precisions(place)
    rates = {}
    for name in names:
        if place.type == "cuda":
            settle_float32(name)
        rates[name] = rate_gflops(place, name, matrix_edge)
    machine = Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        processor=_processor(),
        cores=cores(),
        threads=torch.get_num_threads(),
        capability=torch.backends.cpu.get_cpu_capability(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        torch=torch.__version__,
        python=platform.python_version(),
        device=torch.cuda.get_device_name(place) if place.type == "cuda" else "cpu",
        precisions=names,
        matrix_gflops=rates,
        load_average=round(load_average, 2),
    )
    return asdict(machine)


def usable_precisions(device: torch.device) -> tuple[str, ...]:
    """The precisions of model_store.load that pay on the device.

    On the CPU neither float16 nor TF32, and bfloat16 only with AVX-512: without, torch emulates its convolutions, over
    100 times slower than float32.
    """
    names: tuple[str, ...] = get_args(Precision)
    if device.type == "cuda":
        return names
    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return tuple(name for name in names if name == "float32" or (name == "bfloat16" and fast))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


if __name__ == "__main__":
    answer(describe)
