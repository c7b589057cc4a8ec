"""Gradients through float16 networks: of a loss that is a mean over many voxels, near its minimum."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.families.float16_gradients import widened
from model_store.load import Precision, load
from model_store.networks.slabs import InSlabs
from tests.support.tiny_models import write_tiny_hagan
from tests.support.tiny_progan import write_progan
from tests.support.tiny_split_shuffle import write_split_shuffle
from tests.support.tiny_stylegan import write_stylegan
from tests.support.tiny_stylegan3d import write_stylegan3d

MODELS: dict[str, Callable[[Path], ModelCard]] = {
    "hagan": lambda folder: write_tiny_hagan(folder, "m", encoder=False),
    "progan": lambda folder: write_progan(folder, "m", base=(1, 3, 2), stages=3, encoder=False),
    "stylegan": lambda folder: write_stylegan(folder, "m", base=(1, 3, 2), stages=3, encoder=False),
    "split-shuffle": lambda folder: write_split_shuffle(folder, "m"),
    "stylegan3d": lambda folder: write_stylegan3d(folder, "m"),
}
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


@pytest.mark.parametrize("family", MODELS)
def test_a_float16_gradient_is_that_of_float32(tmp_path: Path, family: str) -> None:
    card = MODELS[family](tmp_path)
    full, half = (load(tmp_path / card.name, card, precision=precision) for precision in ("float32", "float16"))
    assert agrees(gradient(half, lambda volume: volume), gradient(full, lambda volume: volume))


@pytest.mark.parametrize("family", ["progan", "stylegan", "split-shuffle"])
def test_so_is_the_one_through_the_critic(tmp_path: Path, family: str) -> None:
    card = MODELS[family](tmp_path)
    assert card.network["critic"]
    full, half = (load(tmp_path / card.name, card, precision=precision) for precision in ("float32", "float16"))
    found, expected = (gradient(m, lambda v, m=m: m.critic_features(v)[-1]) for m in (half, full))
    assert agrees(found, expected)


def test_work_in_slabs_is_gone_through_again(tmp_path: Path) -> None:
    card = MODELS["progan"](tmp_path)
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
    card = MODELS["progan"](tmp_path)
    model: Any = load(tmp_path / card.name, card, precision=precision)

    def plain(w: Tensor) -> Tensor:
        made: Tensor = model.generator(w[:, 0].to(model.dtype)).float()
        return made

    w = model.map(gaussian(1, 8)[None]).requires_grad_()
    grads = [torch.autograd.grad(run(w).square().mean(), w)[0] for run in (model.synthesise, plain)]
    assert torch.equal(*grads)


@pytest.mark.parametrize("family", MODELS)
def test_the_way_back_can_be_gone_twice(tmp_path: Path, family: str) -> None:
    """As where the first scale was too large: the network runs again, with the same noise."""
    card = MODELS[family](tmp_path)
    model: Any = load(tmp_path / card.name, card, precision="float16")
    w = model.map(gaussian(1, card.latent.z_dim)[None]).requires_grad_()
    loss = model.synthesise(w, 5).square().mean()
    first, second = (torch.autograd.grad(loss, w, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


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
