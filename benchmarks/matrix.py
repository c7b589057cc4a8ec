"""The rate of a large matrix product: what the machine can do, against which passes are held."""

import time

import torch

from benchmarks.results import median

CPU_EDGE, CUDA_EDGE = 2048, 8192
DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def settle_float32(precision: str) -> None:
    """On CUDA: float32 means float32, unless it is tf32 that is asked for."""
    kind = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = kind
    torch.backends.cudnn.conv.fp32_precision = kind  # type: ignore[attr-defined]


def rate_gflops(device: torch.device, precision: str, edge: int = 0, repeats: int = 5) -> float:
    """Median rate of products of square matrices in GFLOP/s; `edge` 0 takes one that fills the device."""
    edge = edge or (CUDA_EDGE if device.type == "cuda" else CPU_EDGE)
    left, right = (torch.rand(edge, edge, device=device).to(DTYPES[precision]) for _ in range(2))
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
