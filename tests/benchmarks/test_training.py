"""The plain training loop learns what ours learns, and its times come out as rows."""

from pathlib import Path

import pytest
import torch

from benchmarks.plain.hagan_training import PlainHAGANTrainer
from benchmarks.results import PLAIN, Iterations
from benchmarks.training import measured
from training.hagan.config import HAGANConfig
from training.hagan.trainer import HAGANTrainer

TINY = {"size": 32, "width": 8, "latent_dim": 4, "modality": "MR", "data": Path(), "out": Path("out")}


def test_the_plain_loop_makes_the_same_step() -> None:
    """Adam's first step is little but a sign, so gradients are compared: what the last update of each left."""
    plain, ours = (kind(HAGANConfig.model_validate(TINY)) for kind in (PlainHAGANTrainer, HAGANTrainer))
    real = torch.rand(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for trainer in (plain, ours):
        for optimiser in trainer.optimisers.values():
            optimiser.param_groups[0]["lr"] = 0.0
        trainer.step(real, None)
    for one, other in zip(plain.encoder.ground.parameters(), ours.encoder.ground.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=0.02, atol=1e-4 * float(one.grad.abs().max()) + 1e-9)


@pytest.mark.slow
def test_iterations_are_measured_in_turn_and_judged() -> None:
    found = Iterations(**measured("cpu", 1, 32, 8, ["float32", "bfloat16"], repeats=2))
    assert {way: len(seconds) for way, seconds in found.seconds.items()} == {PLAIN: 2, "float32": 2, "bfloat16": 2}
    assert found.faster("tf32") is None
    assert found.faster(PLAIN) == 1
