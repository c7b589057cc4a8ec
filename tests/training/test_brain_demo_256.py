"""The model that ships: its card is honest and complete, it looks like heads, and its directions do what they say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from latents.sample import gaussian
from model_store.card import DirectionCard, ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from model_store.generator import Generator
from model_store.load import load
from training.demo.adversarial import adversarial
from training.demo.directions import DIRECTIONS, Named
from training.demo.warm_start import Phase, Scans, WarmStart, new_networks, slab_as_inferred

FOLDER = SHIPPED / "brain-demo-256"
MAX_BYTES = 20 * 10**6


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return Catalogue([SHIPPED]).card("brain-demo-256")


@pytest.fixture(scope="module")
def model(card: ModelCard) -> Generator:
    return load(FOLDER, card)


def unit_volume(model: Generator, z: torch.Tensor) -> torch.Tensor:
    """G(z) in [0, 1], (A0, A1, A2)."""
    with torch.no_grad():
        return (model.synthesise(model.map(z[None]), None)[0, 0] + 1) / 2


def test_the_card_names_sources_licences_command_and_iterations(card: ModelCard) -> None:
    provenance = card.provenance
    assert card.shape == (256, 256, 256)
    assert card.has_encoder
    assert len(provenance.sources) >= 4
    assert provenance.licences
    assert "demo-model" in provenance.command
    assert provenance.iterations["warm start high"] > 0
    assert provenance.iterations["adversarial"] > 0


def test_the_weights_are_small_enough_to_ship() -> None:
    assert (FOLDER / "weights.safetensors").stat().st_size <= MAX_BYTES


def test_samples_are_heads_and_differ_between_seeds(model: Generator) -> None:
    volumes = [unit_volume(model, gaussian(seed, model.card.latent.z_dim, None)) for seed in (0, 1)]
    for volume in volumes:
        tissue = volume > 0.12
        share = float(tissue.float().mean())
        assert 0.15 < share < 0.7
        # A head in a box: the middle is tissue, the upper edges of the box are air.
        assert tissue[80:140, 100:156, 100:156].float().mean() > 0.8
        assert tissue[:40, :24].float().mean() < 0.05
        assert volume[80:140, 100:156, 100:156].std() > 0.02
    assert (volumes[0] - volumes[1]).abs().mean() > 0.01


def test_the_shipped_directions_are_those_of_the_recipe(card: ModelCard) -> None:
    shipped = {path.stem for path in (FOLDER / "directions").glob("*.json")}
    assert shipped == {named.name for named in DIRECTIONS}
    assert len(shipped) >= 3


@pytest.mark.parametrize("named", DIRECTIONS, ids=lambda named: named.name)
def test_a_direction_changes_the_attribute_it_names(model: Generator, card: ModelCard, named: Named) -> None:
    """From a seed that the directions were not measured on, two units either way."""
    stored = DirectionCard.model_validate_json((FOLDER / "directions" / f"{named.name}.json").read_bytes())
    start = gaussian(4242, card.latent.z_dim, None)
    vector = torch.tensor(stored.vector)
    start = start + (named.centre - float(start @ vector)) * vector
    low, high = (named.measurement(unit_volume(model, start + s * stored.std * vector), card) for s in (-1.7, 1.7))
    assert stored.slope is not None
    assert stored.r2 is not None
    assert np.sign(high - low) == np.sign(stored.slope)
    predicted = stored.slope * 3.4 * stored.std
    assert abs(high - low) > 0.3 * abs(predicted)


def test_the_encoder_finds_a_generated_head_again(model: Generator, card: ModelCard) -> None:
    """Encode(generate(z)) generates nearly the same volume: closer than another seed's by far."""
    z = gaussian(7, card.latent.z_dim, None)
    volume = unit_volume(model, z)
    with torch.no_grad():
        again = unit_volume(model, model.encode(volume[None, None] * 2 - 1)[0, 0])
    other = unit_volume(model, gaussian(8, card.latent.z_dim, None))
    assert (again - volume).abs().mean() < 0.5 * (other - volume).abs().mean()


@pytest.mark.parametrize("start", [0, 12, 56])
def test_a_slab_as_inferred_is_the_slab_of_the_whole_volume(start: int) -> None:
    generator, _ = new_networks(64, 8, 0)
    with torch.no_grad():
        features = generator.common(torch.randn(2, 48, generator=torch.Generator().manual_seed(3)))
        slab = slab_as_inferred(generator, features, start, 8)
        torch.testing.assert_close(slab, generator.high(features)[:, :, start : start + 8], rtol=0, atol=1e-5)


def test_every_phase_of_the_recipe_runs(tmp_path: Path) -> None:
    """On three scans of noise at 64^3, a few steps each."""
    source = torch.Generator().manual_seed(0)
    scans = [torch.randint(0, 255, (64, 64, 64), generator=source, dtype=torch.uint8) for _ in range(3)]
    generator, encoder = new_networks(64, 8, 0)
    losses: dict[str, list[float]] = {}
    warm = WarmStart(
        generator,
        encoder,
        Scans(scans[:2], scans[2:], (200.0, 240.0, 208.0)),
        8,
        1,
        lambda phase, _step, _steps, loss: losses.setdefault(phase, []).append(loss),
    )
    phase = Phase(4, 2, 1e-3)
    warm.fit_low(5, phase)
    warm.fit_high(phase, joint=False)
    warm.fit_high(phase, joint=True)
    warm.fit_encoder_high(phase)
    warm.fit_encoder_ground(phase, phase, 2)
    state = tmp_path / "state.pt"
    for iterations in (1, 2):  # the second call goes on from the first one's state
        adversarial(generator, encoder, warm.scans, 8, iterations, state, warm.tell)
    assert {"adversarial", "low 16", "high", "joint", "encoder high", "encoder ground", "encoder scans"} <= set(losses)
    assert all(np.isfinite(values).all() for values in losses.values())
