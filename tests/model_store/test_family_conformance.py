"""What every generator family must do, whatever its networks are. A new family is tested here as soon as
tests/support/models/tiny_families.py can write a tiny model of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latents.sample import gaussian
from model_store.card import ModelCard, Task
from model_store.catalogue import Catalogue
from model_store.families.base import ServedGenerator
from model_store.load import SERVED, Precision, load, outline
from tests.support.models.tiny_families import GENERATORS
from training.estimates.held_memory import Held

VOXELS = 256**3
"""Over which a loss is the mean where gradients are smallest."""


@pytest.fixture(scope="module", params=sorted(GENERATORS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def models(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model, called m."""
    folder = tmp_path_factory.mktemp(family)
    GENERATORS[family](folder, "m")
    return folder


@pytest.fixture(scope="module")
def card(models: Path) -> ModelCard:
    card = Catalogue([models]).card("m")
    assert isinstance(card, ModelCard)
    return card


@pytest.fixture(scope="module")
def model(models: Path, card: ModelCard) -> ServedGenerator:
    return served(models, card)


@pytest.fixture
def is_open(card: ModelCard) -> None:
    """For tests of what a network's layers and its gradient are needed for."""
    if not card.is_open:
        pytest.skip("the network is run by another program, and is not looked into")


def served(models: Path, card: ModelCard, precision: Precision = "float32", **how: Any) -> ServedGenerator:
    model = load(models / "m", card, precision=precision, **how)
    assert isinstance(model, ServedGenerator)
    return model


def styles(model: ServedGenerator, count: int = 1) -> Tensor:
    z = torch.stack([gaussian(seed, model.card.latent.z_dim) for seed in range(count)])
    return model.map(z, 0 if model.card.classes else None)


def scans(card: ModelCard, count: int = 1) -> Tensor:
    """Volumes in the network's range."""
    low, high = card.intensity.network_range
    random = torch.Generator().manual_seed(4)
    return low + (high - low) * torch.rand(count, 1, *card.shape, generator=random)


def test_every_generator_that_is_served_is_tested_here() -> None:
    assert set(GENERATORS) == {name for name, served in SERVED.items() if issubclass(served, ServedGenerator)}


@pytest.mark.parametrize("network", [{}, {"surprise": 1}])
def test_a_network_that_the_family_does_not_have_is_refused_by_the_list(
    family: str, tmp_path: Path, network: dict[str, Any]
) -> None:
    card = GENERATORS[family](tmp_path, "m")
    if network:
        network = card.network | network
    (tmp_path / "m" / "card.json").write_text(card.model_copy(update={"network": network}).model_dump_json())
    assert "network." in Catalogue([tmp_path]).broken()["m"]


def test_the_outline_of_a_card_has_the_size_of_the_loaded_model(models: Path, card: ModelCard) -> None:
    for precision in ("float32", "bfloat16"):
        assert outline(card, precision).size_bytes == served(models, card, precision).size_bytes > 0


def test_a_latent_becomes_a_style_of_the_cards_size(model: ServedGenerator, card: ModelCard) -> None:
    latent = card.latent
    w = styles(model, 3)
    beside_z = 0 if latent.has_style_space else len(card.classes)
    assert w.shape == (3, latent.num_styles, latent.w_dim + beside_z)
    assert w.dtype == torch.float32
    assert w.isfinite().all()
    torch.testing.assert_close(styles(model), w[:1])
    with pytest.raises(ValueError, match=rf"expected latents \(n, {latent.z_dim}\), got \(1, {latent.z_dim + 1}\)"):
        model.map(torch.zeros(1, latent.z_dim + 1))
    if not card.classes:
        with pytest.raises(ValueError, match="conditional"):
            model.map(torch.zeros(1, latent.z_dim), 0)


def test_the_mean_style_is_the_mean_of_the_mapping(model: ServedGenerator, card: ModelCard) -> None:
    z = torch.randn(4096, card.latent.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        w = model.map(z, 0 if card.classes else None)
    mean = model.mean_style()
    assert mean.shape == w.shape[1:]
    assert mean.dtype == torch.float32
    if card.latent.has_style_space:
        assert bool(((mean - w.mean(0)).abs() < 0.3 * w.std(0)).all())
    else:
        assert torch.equal(mean, torch.zeros_like(mean))


def test_a_style_becomes_a_volume_of_the_cards_shape(model: ServedGenerator, card: ModelCard) -> None:
    with torch.inference_mode():
        w = styles(model, 2)
        volumes = model.synthesise(w)
    assert volumes.shape == (2, 1, *card.shape)
    assert volumes.dtype == torch.float32
    assert volumes.isfinite().all()
    assert (volumes[0] - volumes[1]).abs().mean() > 0.01 * volumes.std()  # the latent matters
    with pytest.raises(ValueError, match=r"expected styles \(n, .+\), got \(1, "):
        model.synthesise(torch.zeros(1, w.shape[1] + 1, w.shape[2]))


def test_a_scan_becomes_a_style_where_there_is_an_encoder(model: ServedGenerator, card: ModelCard) -> None:
    if not card.has_encoder:
        with pytest.raises(TypeError, match="no encoder"):
            model.encode(scans(card))
        return
    with torch.inference_mode():
        found = model.encode(scans(card, 2))
    assert found.shape == (2, card.latent.num_styles, card.latent.w_dim)
    assert found.dtype == torch.float32
    with pytest.raises(ValueError, match=r"volumes \(n, 1, "):
        model.encode(torch.zeros(1, 1, *card.shape[:2], card.shape[2] + 1))


def test_a_sample_is_the_same_alone_and_in_a_batch(model: ServedGenerator, card: ModelCard) -> None:
    scan = scans(card, 2)
    with torch.inference_mode():
        w = styles(model, 3)
        together, codes = model.synthesise(w, 7), model.encode(scan) if card.has_encoder else None
        for k in range(3):
            torch.testing.assert_close(model.synthesise(w[k : k + 1], 7), together[k : k + 1], rtol=0, atol=5e-5)
        if codes is not None:
            torch.testing.assert_close(model.encode(scan[1:]), codes[1:], rtol=1e-4, atol=1e-4)


def test_low_memory_makes_the_same(models: Path, model: ServedGenerator, card: ModelCard) -> None:
    frugal = served(models, card, low_memory=True)
    with torch.inference_mode():
        w = styles(model)
        torch.testing.assert_close(frugal.synthesise(w), model.synthesise(w), rtol=0, atol=5e-5)
        if card.has_encoder:
            torch.testing.assert_close(frugal.encode(scans(card)), model.encode(scans(card)), rtol=0, atol=1e-4)
    for task in ("synthesise", "encode", "refine"):
        assert frugal.work_bytes(task, card.shape) <= model.work_bytes(task, card.shape)


def test_the_same_style_and_noise_give_the_same_bytes(models: Path, model: ServedGenerator, card: ModelCard) -> None:
    """Also from weights loaded anew, whatever was drawn meanwhile; and nothing is drawn from the global generator."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    again = served(models, card)
    with torch.inference_mode():
        w = styles(model)
        for noise_seed in (None, 5):
            expected = model.synthesise(w, noise_seed)
            assert torch.equal(model.synthesise(w, noise_seed), expected)
            assert torch.equal(again.synthesise(w, noise_seed), expected)
        if card.latent.has_style_space:
            constant, fifth, sixth = (model.synthesise(w, seed) for seed in (None, 5, 6))
            assert (constant - fifth).abs().max() > 1e-3
            assert (fifth - sixth).abs().max() > 1e-3
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_fewer_bits_stay_near(models: Path, model: ServedGenerator, card: ModelCard, precision: Precision) -> None:
    half, apart = served(models, card, precision), {"bfloat16": 0.1, "float16": 0.02}[precision]
    low, high = card.intensity.network_range
    with torch.inference_mode():
        w = styles(model, 2)
        volume, expected = half.synthesise(w), model.synthesise(w)
        if card.has_encoder:
            code = model.encode(expected)
            assert (half.encode(expected) - code).abs().max() < 0.05 * code.abs().max()
    assert volume.dtype == torch.float32
    assert 0 < (volume - expected).abs().mean() < apart * (high - low) / 2
    assert half.size_bytes < 0.75 * model.size_bytes


@pytest.mark.usefixtures("is_open")
def test_weights_are_frozen_and_a_gradient_reaches_every_style(model: ServedGenerator) -> None:
    w = styles(model).detach().requires_grad_()
    model.synthesise(w).square().mean().backward()
    assert w.grad is not None
    assert bool((w.grad.abs().amax(-1) > 0).all())
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.usefixtures("is_open")
def test_maps_that_read_a_latent_have_its_length(model: ServedGenerator, card: ModelCard) -> None:
    latent = card.latent
    length = latent.w_dim if latent.has_style_space else latent.z_dim
    matrices = model.style_matrices()
    assert matrices
    assert {matrix.shape[1] for matrix in matrices} == {length}


def gradient(model: ServedGenerator, seen: Callable[[Tensor], Tensor]) -> Tensor:
    """Of w, a little away from its target, for the mean of squares as a cube of 256 would have it."""
    with torch.no_grad():
        w = styles(model)
        target = seen(model.synthesise(w))
    w = (w + 0.05 * gaussian(2, w.numel()).view_as(w)).requires_grad_()
    ((seen(model.synthesise(w)) - target).square().sum() / VOXELS).backward()
    assert w.grad is not None
    return w.grad.flatten()


def agrees(half: Tensor, full: Tensor) -> bool:
    ratio = float(half.norm() / full.norm())
    # Not torch's cosine_similarity, which takes norms below 1e-8 for zero.
    return float(half / half.norm() @ (full / full.norm())) > 0.99 and 0.95 < ratio < 1.05


@pytest.mark.usefixtures("is_open")
def test_a_float16_gradient_is_that_of_float32(models: Path, model: ServedGenerator, card: ModelCard) -> None:
    """Through the volume alone, and where a critic came with the model through its features too."""
    half = served(models, card, "float16")
    assert agrees(gradient(half, lambda volume: volume), gradient(model, lambda volume: volume))
    if model.critic_features(scans(card)):
        found, expected = (gradient(m, lambda v, m=m: m.critic_features(v)[-1]) for m in (half, model))  # type: ignore[misc]
        assert agrees(found, expected)


@pytest.mark.usefixtures("is_open")
def test_the_way_back_can_be_gone_twice(models: Path, card: ModelCard) -> None:
    """As where the first scale was too large: the network runs again, with the same noise."""
    model = served(models, card, "float16")
    w = styles(model).requires_grad_()
    loss = model.synthesise(w, 5).square().mean()
    first, second = (torch.autograd.grad(loss, w, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_critics_features_are_those_of_the_cards_shape_alone(model: ServedGenerator, card: ModelCard) -> None:
    features = model.critic_features(scans(card))
    assert bool(features) == bool(card.network.get("critic", False))
    if features:
        sizes = [feature[0, 0].numel() for feature in features]
        assert sizes == sorted(sizes, reverse=True)
        with pytest.raises(ValueError, match=r"volumes \(n, 1, "):
            model.critic_features(torch.zeros(1, 1, *card.shape[:2], card.shape[2] + 1))


@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("low_memory", [False, True])
def test_the_estimate_of_memory_holds(models: Path, card: ModelCard, low_memory: bool) -> None:
    """Counted over the tensors that each task holds beside weights and input."""
    model = served(models, card, low_memory=low_memory)
    with torch.no_grad():
        w, scan = styles(model), scans(card)

    def refine() -> None:
        start = w.clone().requires_grad_()
        made = model.synthesise(start)
        features = model.critic_features(made)
        (made.square().mean() + sum(feature.square().mean() for feature in features[-1:])).backward()

    tasks: dict[Task, Callable[[], object]] = {"synthesise": lambda: model.synthesise(w, 5), "refine": refine}
    if card.has_encoder:
        tasks["encode"] = lambda: model.encode(scan)
    for task, make in tasks.items():
        with torch.inference_mode(task != "refine"), Held("cpu") as held:
            made = make()
        estimate = model.work_bytes(task, card.shape)
        assert 0.2 * estimate < held.peak <= 1.05 * estimate, (task, held.peak / estimate)
        del made
