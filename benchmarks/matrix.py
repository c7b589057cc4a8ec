"""The rate of a large matrix product: what the machine can do, against which passes are held."""

import time
from typing import cast

import torch

from benchmarks.results import median
from model_store.load import DTYPES, Precision

CPU_EDGE, CUDA_EDGE = 2048, 8192


def rate_gflops(device: torch.device, precision: str, edge: int = 0, repeats: int = 5) -> float:
    """Median rate of products of square matrices in GFLOP/s; `edge` 0 takes one that fills the device."""
    edge = edge or (CUDA_EDGE if device.type == "cuda" else CPU_EDGE)
    kind = cast("Precision", precision)
    left, right = (torch.rand(edge, edge, device=device).to(DTYPES[kind]) for _ in range(2))
    out = left @ right
    seconds = []
    for _ in range(repeats):
        synchronise(device)
        begun = time.perf_counter()
        torch.mm(left, right, out=out)
        synchronise(device)
        seconds.append(time.perf_counter() - begun)
    return 2 * edge**3 / median(seconds) / 1e9


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
