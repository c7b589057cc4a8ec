"""Training in bfloat16: which numbers it changes, how far, and that a run keeps its precision."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from tests.training.test_course import RUNS, scans, train
from tests.training.test_megan import tiny
from training.engine.errors import DataRefused, Diverged
from training.engine.precision import PrecisionChosen
from training.engine.trainer import Trainer
from training.megan.trainer import MEGANTrainer

__all__ = ["scans"]
ALIKE = 0.95
"""Least cosine between gradients of the two precisions."""
LARGER = {"hagan": {"latent_dim": 64}}
"""So that no single activation weighs much."""


def trainer(family: str, precision: str, tmp_path: Path) -> Trainer[Any]:
    if family == "megan":
        return MEGANTrainer(tiny(tmp_path, precision=precision))
    described, kind, sizes = RUNS[family]
    values = {"data": tmp_path, "out": tmp_path / "out", "iterations": 4, "modality": "MR", "precision": precision}
    made: Trainer[Any] = described.trainer(kind.model_validate(values | sizes | LARGER.get(family, {})))
    return made


def batch(family: str, of: Trainer[Any]) -> tuple[Tensor, Tensor | None]:
    source = torch.Generator().manual_seed(1)
    if family == "megan":
        return torch.rand(1, 1, 16, 16, 16, generator=source), torch.rand(1, 1, 32, 32, 32, generator=source)
    return torch.rand(2, 1, *of.config.sides, generator=source), None


@pytest.mark.slow
@pytest.mark.parametrize("family", [*RUNS, "megan"])
def test_gradients_point_the_same_way(family: str, tmp_path: Path) -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        of = trainer(family, precision, tmp_path)
        for group in (group for optimiser in of.optimisers.values() for group in optimiser.param_groups):
            group["lr"] = 0.0  # the updates of an iteration are compared at the same weights
        of.iteration = 1  # without Split&Shuffle's penalties, which are float32 throughout
        losses = of.step(*batch(family, of))
        assert all(loss.dtype == torch.float32 for loss in losses.values())
        assert all(parameter.dtype == torch.float32 for parameter in of.networks.parameters())
        grads = {name: parameter.grad for name, parameter in of.networks.named_parameters()}
        found[precision] = {name: grad.double() for name, grad in grads.items() if grad is not None}
    exact, quick = found["float32"], found["bfloat16"]
    assert exact.keys() == quick.keys()
    assert any(not torch.equal(exact[name], quick[name]) for name in exact)
    for part in {name.split(".")[0] for name in exact}:
        flat = [torch.cat([g.flatten() for n, g in of.items() if n.startswith(part)]) for of in (exact, quick)]
        assert cosine_similarity(*flat, dim=0) > ALIKE, part


def test_a_run_goes_on_in_its_own_precision(scans: Path, tmp_path: Path) -> None:
    train("hagan", scans, tmp_path, iterations=1, precision="bfloat16")
    with pytest.raises(DataRefused, match="--precision"):
        train("hagan", scans, tmp_path, iterations=2)


def test_tf32_is_cudas_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cuda"):
        trainer("hagan", "tf32", tmp_path)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gradient_that_is_no_number_ends_the_run_and_leaves_the_weights(precision: str, tmp_path: Path) -> None:
    of = trainer("hagan", precision, tmp_path)
    real, _ = batch("hagan", of)
    before = {name: value.clone() for name, value in of.networks.named_parameters()}
    with pytest.raises(Diverged, match="in iteration 1 the gradient of the discriminator") as told:
        of.step(real.index_fill_(0, torch.tensor([1]), torch.inf), None)
    assert ("--precision float32" in str(told.value)) == (precision == "bfloat16")
    assert all(torch.equal(value, before[name]) for name, value in of.networks.named_parameters())


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux lists the processor's instructions here")
def test_a_run_in_bfloat16_is_warned_of_where_the_processor_emulates_it() -> None:
    listed = set(Path("/proc/cpuinfo").read_text().split())
    has_it = bool(listed & {"avx512_bf16", "amx_bf16", "bf16"})
    told = list(PrecisionChosen("cpu", "bfloat16").warnings())
    assert [("emulates" in line, "--precision float32" in line) for line in told] == [(True, True)] * (not has_it)
    assert not list(PrecisionChosen("cpu", "float32").warnings())
