"""What a device computes, and what a precision is worth on it."""

import time
from collections.abc import Iterator
from statistics import median

import torch

from model_store.load import Precision, emulates_bfloat16

_EDGE, _TRIES = 512, 5
"""Of the matrices that are multiplied to learn what bfloat16 is worth: some milliseconds in all."""
_WORTH_IT = 1.2


def kind_of(device: torch.device) -> str:
    """What two devices must share for the same network to give the same bytes on both."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


def warnings_of(device: str, precision: Precision) -> Iterator[str]:
    """What an operator should know about this precision here, one line each."""
    if precision != "bfloat16":
        return
    is_cuda = device.startswith("cuda")
    if emulates_bfloat16(device):
        yield (
            "this GPU emulates bfloat16; float16 or float32 is faster"
            if is_cuda
            else "this processor emulates bfloat16: a volume can take minutes; float32 is faster"
        )
    elif not is_cuda and (gain := bfloat16_gain()) < _WORTH_IT:
        yield f"this processor multiplies bfloat16 {gain:.1f} times as fast as float32: it saves memory here, not time"


def bfloat16_gain() -> float:
    """How many times as fast as in float32 the CPU multiplies matrices in bfloat16, just now and with torch's threads.

    Instructions alone do not tell: with AVX-512 BF16 some processors take twice as long as in float32, others half as
    long (docs/performance.md, "Precisions").
    """
    wide = torch.ones(_EDGE, _EDGE)
    half = wide.bfloat16()
    seconds: dict[torch.dtype, list[float]] = {wide.dtype: [], half.dtype: []}
    for _ in range(_TRIES + 1):  # the first of each makes oneDNN's code
        for matrix in (wide, half):
            begun = time.perf_counter()
            matrix @ matrix
            seconds[matrix.dtype].append(time.perf_counter() - begun)
    return median(seconds[wide.dtype][1:]) / median(seconds[half.dtype][1:])
