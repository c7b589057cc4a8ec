"""A measuring process: iterations of HA-GAN's training, ours in each precision and the plain loop's, in turn."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.children import answer
from benchmarks.matrix import synchronise
from benchmarks.plain.hagan_training import PlainHAGANTrainer
from benchmarks.results import PLAIN, Iterations
from model_store.load import settle_float32
from training.hagan.config import HAGANConfig
from training.hagan.trainer import HAGANTrainer

BATCH = 2


def measured(device: str, threads: int, size: int, width: int, precisions: list[str], repeats: int) -> dict[str, Any]:
    """Iterations, as a dictionary."""
    if threads:
        torch.set_num_threads(threads)
    asked = {"data": Path(), "out": Path("out"), "size": size, "width": width, "batch_size": BATCH, "modality": "MR",
             "device": device}  # fmt: skip
    plain = PlainHAGANTrainer(HAGANConfig.model_validate(asked))
    trainers = {PLAIN: plain} | {
        precision: HAGANTrainer(HAGANConfig.model_validate(asked | {"precision": precision}))
        for precision in precisions
    }
    real = torch.rand(BATCH, 1, size, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    real = real.to(device)
    seconds: dict[str, list[float]] = {way: [] for way in trainers}
    for round_ in range(repeats + 1):  # the first warms up
        for way, trainer in trainers.items():
            settle_float32(way)
            synchronise(torch.device(device))
            begun = time.perf_counter()
            trainer.step(real, None)
            synchronise(torch.device(device))
            if round_:
                seconds[way].append(time.perf_counter() - begun)
    return asdict(Iterations(size, width, BATCH, seconds))


if __name__ == "__main__":
    answer(measured)
