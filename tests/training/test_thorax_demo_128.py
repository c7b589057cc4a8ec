"""The thorax model that ships: its card is honest, its classes and directions do what they say; and its recipe."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from latents.sample import gaussian
from model_store.card import DirectionCard, ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from model_store.generator import Generator
from model_store.load import load
from training.demo.thorax_anatomy import AXES, CLASSES, LATENT_DIM, build_of, hu_of, mean_build, volumes_of
from training.demo.thorax_demo_128 import NAME, card_with, new_networks
from training.demo.thorax_directions import (
    BONE_HU,
    DIRECTIONS,
    Named,
    low_attenuation,
    lung_volume_ml,
    lungs_of,
    sample,
)
from training.demo.thorax_pairs import Pairs
from training.demo.thorax_start import ThoraxStart, bone_loss, pair_loss
from training.demo.warm_start import Phase
from training.engine.export import export
from volumes.volume import Volume

FOLDER = SHIPPED / NAME
MAX_BYTES = 10 * 10**6
SMALL = 32


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return Catalogue([SHIPPED]).card(NAME)


@pytest.fixture(scope="module")
def model(card: ModelCard) -> Generator:
    return load(FOLDER, card)


@pytest.fixture(scope="module")
def of_classes(model: Generator) -> list[Volume]:
    """One latent in every class."""
    return [sample(model, gaussian(3, LATENT_DIM, None), label) for label in range(len(CLASSES))]


def test_the_card_says_phantoms_alone_and_how_it_was_made(card: ModelCard) -> None:
    told = card.provenance
    assert len(told.sources) == 1
    assert "phantoms alone" in told.sources[0]
    assert told.command == "make thorax-model"
    assert told.iterations["both resolutions"] > 0
    assert (card.licence, card.modality, card.intensity.units) == ("Apache-2.0", "CT", "HU")
    assert (card.intensity.low, card.intensity.high) == (-1024, 600)
    assert tuple(card.classes) == tuple(CLASSES)
    assert (FOLDER / "weights.safetensors").stat().st_size <= MAX_BYTES


@pytest.mark.slow
def test_samples_are_thoraces(of_classes: list[Volume]) -> None:
    """Lungs to both sides of the heart, the spine behind it, air at the volume's edges."""
    volume = of_classes[0]
    array, lungs = np.asarray(volume.array), lungs_of(volume)
    assert 1800 < lung_volume_ml(volume) < 7000
    left, right = lungs[: lungs.shape[0] // 2].sum(), lungs[lungs.shape[0] // 2 :].sum()
    assert 0.6 < left / right < 1.5
    assert array[58:70, 70:80, 50:58].mean() > 0
    assert array[60:68, 30:48].max() > 250
    assert (array[:, :4] < -900).mean() > 0.99
    phantom = hu_of(gaussian(3, LATENT_DIM, None), (0,), 128)[0][0]
    assert (array > BONE_HU).sum() > 0.4 * (phantom > BONE_HU).sum()


@pytest.mark.slow
def test_a_worse_class_has_more_emphysema_and_thinner_lungs(of_classes: list[Volume]) -> None:
    shares = [low_attenuation(volume) for volume in of_classes]
    means = [float(np.asarray(volume.array)[lungs_of(volume)].mean()) for volume in of_classes]
    assert shares == sorted(shares)
    assert means == sorted(means, reverse=True)
    assert shares[-1] > shares[1] + 0.04 > 0.04
    assert means[-1] < means[1] - 15


@pytest.mark.slow
def test_classes_share_a_body(of_classes: list[Volume]) -> None:
    first, last = np.asarray(of_classes[0].array, np.float32), np.asarray(of_classes[-1].array, np.float32)
    dense = (first > -300) & (last > -300)
    assert np.abs(first - last)[dense].mean() < 20
    assert lung_volume_ml(of_classes[-1]) == pytest.approx(lung_volume_ml(of_classes[0]), rel=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("named", DIRECTIONS, ids=lambda named: named.name)
def test_a_direction_changes_what_it_names(model: Generator, card: ModelCard, named: Named) -> None:
    """From a seed that the directions were not measured on."""
    stored = DirectionCard.model_validate_json((FOLDER / "directions" / f"{named.name}.json").read_bytes())
    assert stored.fits(card)
    assert stored.slope is not None
    assert stored.r2 is not None
    assert stored.r2 > 0.5
    z, vector = gaussian(4242, LATENT_DIM, None), torch.tensor(stored.vector)
    low, high = (named.measurement(sample(model, z + s * stored.std * vector, 1)) for s in (-1.0, 1.0))
    assert (high - low) > 0.3 * stored.slope * 2 * stored.std > 0


@pytest.mark.slow
def test_the_encoder_tells_generated_thoraces_apart(model: Generator) -> None:
    """What it finds is nearer to the volume's own latent than to another, and more than half of it (docs/models.md)."""
    z = torch.stack([gaussian(seed, LATENT_DIM, None) for seed in (4, 5)])
    with torch.no_grad():
        found = torch.stack([model.encode(model.synthesise(model.map(row[None], 1), None))[0, 0] for row in z])
    distances = torch.cdist(found, z)
    assert (distances.diag() < distances.flip(0).diag()).all()
    assert (distances.diag() ** 2 < 0.6 * z.square().sum(dim=1)).all()


def test_an_axis_changes_the_body_and_a_class_the_lungs_alone() -> None:
    z = torch.zeros(LATENT_DIM)
    assert build_of(z) == mean_build()
    z[AXES.index("fat")] = 1.0
    assert build_of(z).fat > mean_build().fat
    hu, lungs = hu_of(z, (0, 4), SMALL)
    changed = np.abs(hu[0] - hu[1]) > 1
    assert changed.any()
    near = np.zeros_like(lungs)
    for axis in range(3):  # the scanner's blur is a voxel wide
        near |= np.roll(lungs, 1, axis) | np.roll(lungs, -1, axis)
    assert not (changed & ~lungs & ~near).sum() > 0.2 * changed.sum()


def test_lungs_are_measured_without_the_air_around_the_body() -> None:
    hu, lungs = hu_of(torch.zeros(LATENT_DIM), (0, 4), 64)
    healthy, severe = (Volume(one, np.diag([6.2, 6.2, 5.2, 1.0])) for one in hu)
    assert lung_volume_ml(healthy) == pytest.approx(lungs.sum() * 6.2 * 6.2 * 5.2 / 1000, rel=0.15)
    assert low_attenuation(severe) > low_attenuation(healthy) + 0.1


def test_the_holes_of_a_milder_class_lie_in_those_of_a_worse() -> None:
    hu, lungs = hu_of(torch.zeros(LATENT_DIM), tuple(CLASSES.values()), SMALL)
    for milder, worse in pairwise(hu):
        assert (worse[lungs] <= milder[lungs] + 1e-3).all()


def test_a_step_along_z_changes_the_volume_a_little() -> None:
    z = torch.zeros(LATENT_DIM)
    first, other = volumes_of(z, SMALL), volumes_of(z + 0.02, SMALL)
    assert 0 < (first - other).abs().mean() < 0.05


def test_the_loss_sees_what_classes_differ_by() -> None:
    """Two of the volumes differ in the lungs: made alike at their mean, they cost more than each with its own noise."""
    real = volumes_of(torch.zeros(LATENT_DIM), SMALL)[[0, 3]][:, None]
    alike = real.mean(0, keepdim=True).expand_as(real)
    assert pair_loss(real, real) == 0
    assert pair_loss(alike, real) > 0.05


def test_the_loss_of_bones_sees_ribs_that_are_a_haze() -> None:
    """A thorax whose bone is no more than soft tissue, beside one whose soft tissue is as far off everywhere."""
    real = volumes_of(torch.zeros(LATENT_DIM), 64)[:1, None]
    bone = real > 0.5
    hazy = torch.where(bone, 0.35, real)
    elsewhere = real - torch.where(bone, 0.0, ((real - hazy)[bone] ** 2).sum().sqrt() / (~bone).sum().sqrt())
    assert 0 < bone.float().mean() < 0.05
    assert torch.isclose(((real - hazy) ** 2).sum(), ((real - elsewhere) ** 2).sum(), rtol=1e-3)
    assert bone_loss(real, real) == 0
    assert bone_loss(hazy, real) > 3 * bone_loss(elsewhere, real)


@pytest.mark.slow
def test_every_phase_of_the_recipe_runs(tmp_path: Path) -> None:
    """On four pairs at 64^3, a few steps each, up to a model that loads."""
    generator, encoder = new_networks(64, 8, 0)
    losses: dict[str, list[float]] = {}
    pairs = Pairs(tmp_path / "pairs", 4, 64)
    start = ThoraxStart(
        generator, encoder, pairs, 8, 1, lambda name, _step, _steps, loss: losses.setdefault(name, []).append(loss)
    )
    phase = Phase(3, 1, 1e-3)
    for last in (3, 5):
        start.fit_low(last, phase)
    start.fit_high(phase)
    start.fit_joint(phase)
    start.fit_anatomy(phase)
    start.fit_bones(phase)
    start.fit_encoder_high(phase)
    start.fit_encoder(phase)
    assert len(losses) == 8
    assert all(np.isfinite(values).all() for values in losses.values())
    small = card_with({"low resolution": 6}).model_copy(update={"shape": (64, 64, 64), "network": {"width": 8}})
    card = export(tmp_path / NAME, small, {"generator": generator, "encoder": encoder}, half=True)
    assert load(tmp_path / NAME, card).card.classes == list(CLASSES)
    again = Pairs(tmp_path / "pairs", 4, 64)
    assert torch.equal(again.low, pairs.low)
