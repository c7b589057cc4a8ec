"""Steps made of several batches: what one large batch would have made, in the memory of a small one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.test_course import RUNS, scans, train, weights
from training.engine.errors import DataRefused
from training.engine.trainer import Trainer, parts
from training.estimates.memory import count
from training.progressive import encoder
from training.progressive.config import EncoderConfig

__all__ = ["scans"]
ALIKE = 1e-6
"""Largest difference between gradients, of their norm."""
WHOLE, IN_PARTS = {"batch_size": 2}, {"batch_size": 1, "accumulate": 2}
LARGER = {"hagan": {"latent_dim": 16, "classes": ["mild", "severe"]}}


@pytest.fixture
def _in_float64() -> Iterator[None]:
    """In float32 the last digits decide on which side of a ReLU some values lie."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trainer(family: str, tmp_path: Path, way: dict[str, int]) -> Trainer[Any]:
    described, kind, sizes = RUNS[family]
    values = {"data": tmp_path, "out": tmp_path / "out", "iterations": 9, "modality": "MR"}
    made: Trainer[Any] = described.trainer(kind.model_validate(values | sizes | LARGER.get(family, {}) | way))
    return made


def after_step(of: Trainer[Any], real: Tensor) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Losses, and gradients of all networks at the weights that they had."""
    for group in (group for optimiser in of.optimisers.values() for group in optimiser.param_groups):
        group["lr"] = 0.0
    losses = of.step(real, torch.arange(len(real)) % 2)
    grads = {
        name: parameter.grad.clone() for name, parameter in of.networks.named_parameters() if parameter.grad is not None
    }
    return {name: float(loss) for name, loss in losses.items()}, grads


def assert_alike(found: dict[str, Tensor], wanted: dict[str, Tensor], within: float = ALIKE) -> None:
    assert found.keys() == wanted.keys()
    largest = max(float(grad.norm()) for grad in wanted.values())
    for name, grad in wanted.items():
        assert float((found[name] - grad).norm()) <= within * max(float(grad.norm()), 1e-3 * largest), name


@pytest.mark.usefixtures("_in_float64")
@pytest.mark.parametrize("family", ["hagan", "progan", pytest.param("stylegan", marks=pytest.mark.slow)])
def test_gradients_are_those_of_one_large_batch(family: str, tmp_path: Path) -> None:
    whole, other = (trainer(family, tmp_path, way) for way in (WHOLE, IN_PARTS))
    whole.iteration = other.iteration = 0 if family == "hagan" else 3  # in the last stage
    real = torch.rand(2, 1, *whole.config.sides, generator=torch.Generator().manual_seed(1))
    losses, grads = after_step(whole, real)
    found, theirs = after_step(other, real)
    assert found == pytest.approx(losses, rel=1e-9, abs=1e-9)
    assert_alike(theirs, grads)
    buffers = dict(whole.networks.named_buffers())
    for name, buffer in other.networks.named_buffers():  # where spectral norm's power iterations have come to
        torch.testing.assert_close(buffer, buffers[name], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_an_encoders_gradients_are_those_of_one_large_batch(scans: Path, tmp_path: Path) -> None:
    model, found = train("stylegan", scans, tmp_path / "model", iterations=1), []
    for way in (WHOLE, IN_PARTS):
        values = {"data": scans, "out": tmp_path / "out", "model": model}
        of = encoder.FAMILY.trainer(EncoderConfig.model_validate(values | way))
        real = torch.rand(2, 1, 4, 8, 4, generator=torch.Generator().manual_seed(1))
        found.append(after_step(of, real))
    (losses, grads), (theirs, also) = found
    assert losses == pytest.approx(theirs, rel=1e-4)
    assert_alike(also, grads, 1e-3)  # the model that stands still is float32


@pytest.mark.parametrize(
    ("family", "precision"), [("progan", "bfloat16"), pytest.param("split-shuffle", "float32", marks=pytest.mark.slow)]
)
def test_a_run_goes_on_with_the_parts_that_it_began_with(
    family: str, precision: str, scans: Path, tmp_path: Path
) -> None:
    shared = {"accumulate": 2, "precision": precision}
    whole = train(family, scans, tmp_path / "whole", iterations=2, **shared)
    train(family, scans, tmp_path / "run", iterations=1, **shared)
    with pytest.raises(DataRefused, match=r"--accumulate \(there 2\)"):
        train(family, scans, tmp_path / "run", iterations=2, precision=precision)
    parts = train(family, scans, tmp_path / "run", iterations=2, **shared)
    assert weights(parts) == weights(whole)


def test_a_step_in_parts_needs_less_memory(tmp_path: Path) -> None:
    ways = [{"batch_size": 1, "accumulate": 4}, {"batch_size": 4}]
    in_parts, whole = (count(trainer("progan", tmp_path, way), RUNS["progan"][0]).peak for way in ways)
    assert in_parts < whole


@pytest.mark.parametrize(("samples", "most", "sizes"), [(4, 2, [2, 2]), (5, 2, [2, 3]), (1, 3, [1]), (7, 1, [7])])
def test_parts_are_as_equal_as_can_be(samples: int, most: int, sizes: list[int]) -> None:
    found = list(parts(samples, most))
    assert [part.stop - part.start for part in found] == sizes
    assert [place for part in found for place in range(samples)[part]] == list(range(samples))
