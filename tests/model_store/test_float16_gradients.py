"""Gradients through float16 networks, beyond what each family must do (test_family_conformance.py)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latents.sample import gaussian
from model_store.families.float16_gradients import widened
from model_store.load import Precision, load
from model_store.networks.slabs import InSlabs
from tests.support.models.tiny_progan import write_progan

VOXELS = 256**3


def gradient(model: Any, seen: Callable[[Tensor], Tensor]) -> Tensor:
    """Of w, a little away from its target, for the mean of squares as a cube of 256 would have it."""
    size = model.card.latent.z_dim
    with torch.no_grad():
        w = model.map(gaussian(1, size)[None])
        target = seen(model.synthesise(w))
    w = (w + 0.05 * gaussian(2, w.numel()).view_as(w)).requires_grad_()
    ((seen(model.synthesise(w)) - target).square().sum() / VOXELS).backward()
    assert w.grad is not None
    return w.grad.flatten()


def agrees(half: Tensor, full: Tensor) -> bool:
    ratio = float(half.norm() / full.norm())
    # Not torch's cosine_similarity, which takes norms below 1e-8 for zero.
    return float(half / half.norm() @ (full / full.norm())) > 0.99 and 0.95 < ratio < 1.05


def test_work_in_slabs_is_gone_through_again(tmp_path: Path) -> None:
    card = write_progan(tmp_path, "m", base=(1, 3, 2), stages=3, encoder=False)
    found = []
    for slab_bytes in (None, 1):
        model: Any = load(tmp_path / card.name, card, precision="float16")
        for part in model.modules():
            if isinstance(part, InSlabs):
                part.slab_bytes = slab_bytes
        found.append(gradient(model, lambda volume: volume))
    assert agrees(found[1], found[0])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_other_precisions_are_left_as_they_are(tmp_path: Path, precision: Precision) -> None:
    card = write_progan(tmp_path, "m", base=(1, 3, 2), stages=3, encoder=False)
    model: Any = load(tmp_path / card.name, card, precision=precision)

    def plain(w: Tensor) -> Tensor:
        made: Tensor = model.generator(w[:, 0].to(model.dtype)).float()
        return made

    w = model.map(gaussian(1, 8)[None]).requires_grad_()
    grads = [torch.autograd.grad(run(w).square().mean(), w)[0] for run in (model.synthesise, plain)]
    assert torch.equal(*grads)


def test_a_gradient_that_overflows_is_scaled_less() -> None:
    """Behind a layer that makes it 2^10 times larger, the first scale leaves float16's range."""
    x = torch.ones(4, requires_grad=True)
    (y,) = widened(lambda x: [x.half() * 2.0**10], x, torch.float16)
    y.mean().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [256.0] * 4


def test_a_gradient_that_is_not_finite_stays_so() -> None:
    x = torch.zeros(4, requires_grad=True)
    (y,) = widened(lambda x: [x.half().sqrt()], x, torch.float16)
    y.sum().backward()
    assert x.grad is not None
    assert not torch.isfinite(x.grad).any()
