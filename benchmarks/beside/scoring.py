"""A measuring process: the score of a volume, in turn with the forward pass that made it."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from benchmarks.children import answer
from benchmarks.results import Scoring
from latents.sample import gaussian
from model_store.catalogue import SHIPPED, Catalogue
from model_store.features.reference import About, reference_of
from model_store.features.shipped import shipped_network
from workers.bench import Bench
from workers.steps.scoring import Scorer

FEATURES = 64
"""Of a made-up reference of eight scans: what it holds changes no time."""


def score_shipped(model: str, device: str, threads: int, repeats: int) -> dict[str, Any]:
    """A Scoring as a dictionary."""
    bench = Bench(Catalogue([SHIPPED]), device, "float32", threads=threads)
    ours = bench.generator(model)
    network = shipped_network("distortion")
    about = About(features=network.name, features_sha256=network.sha256, model_sha256=ours.card.sha256, among="train",
                  preparation={}, software_version="")  # fmt: skip
    rows = np.random.default_rng(0).random((8, FEATURES))
    scorer = Scorer(ours.card, reference_of(rows, about), bench.device)
    found = Scoring(model, [], [])
    with torch.inference_mode():
        w = ours.map(gaussian(0, ours.card.latent.z_dim)[None])
        for _ in range(1 + repeats):
            begun = time.perf_counter()
            array = ours.synthesise(w)[0, 0]
            if array.is_cuda:
                torch.cuda.synchronize(array.device)
            made = time.perf_counter()
            scorer.score(array)  # its answer is on the CPU
            found.forward_seconds.append(made - begun)
            found.score_seconds.append(time.perf_counter() - made)
    # The first of each finds weights and memory for the others.
    del found.forward_seconds[0], found.score_seconds[0]
    return asdict(found)


if __name__ == "__main__":
    answer(score_shipped)
