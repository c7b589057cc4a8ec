"""The style model that ships: its card is honest, it looks like heads, styles and truncation do what the paper says."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from model_store.generator import Generator
from model_store.load import load
from training.demo.head_style_64 import BOX_MM, Plan, finish, start
from training.demo.style_anatomy import APPEARANCE, AXES, Heads, draw, mixed, subject
from training.demo.style_start import Stretch
from training.demo.warm_start import Phase, Share

FOLDER = SHIPPED / "head-style-64"
MAX_BYTES = 10 * 10**6


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return Catalogue([SHIPPED]).card("head-style-64")


@pytest.fixture(scope="module")
def model(card: ModelCard) -> Generator:
    return load(FOLDER, card)


def styles(model: Generator, *seeds: int) -> Tensor:
    """(n, num_styles, w_dim)."""
    return model.map(torch.stack([gaussian(seed, model.card.latent.z_dim, None) for seed in seeds]))


def made(model: Generator, w: Tensor) -> Tensor:
    """(n, A0, A1, A2) in [0, 1]."""
    with torch.no_grad():
        return model.synthesise(w, None)[:, 0]


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().mean())


def test_the_card_names_sources_licences_command_and_iterations(card: ModelCard) -> None:
    assert card.shape == (64, 64, 64)
    assert card.has_encoder
    assert len(card.provenance.sources) == 3
    assert card.provenance.licences
    assert "style-model" in card.provenance.command
    assert {"supervised start", "encoder", "adversarial"} == set(card.provenance.iterations)
    assert (FOLDER / "weights.safetensors").stat().st_size <= MAX_BYTES


def test_samples_are_heads_and_differ_between_seeds(model: Generator) -> None:
    volumes = made(model, styles(model, 0, 1))
    for volume in volumes:
        tissue = volume > 0.12
        assert 0.15 < float(tissue.float().mean()) < 0.7
        # A head in a box: the middle is tissue, the upper edges of the box are air.
        assert tissue[20:35, 25:39, 25:39].float().mean() > 0.8
        assert tissue[:10, :6].float().mean() < 0.05
    assert distance(volumes[0], volumes[1]) > 0.01


def test_early_styles_give_the_shape_and_late_ones_the_greys(model: Generator) -> None:
    """Section 4.3, over pairs of seeds. Ranks of voxels know the shape and no greys, sorted voxels the greys alone."""
    shape, greys = [0.0, 0.0], [0.0, 0.0]
    for first, second in ((1, 2), (3, 4), (5, 6), (7, 8)):
        source, target = styles(model, first, second)
        *ends, mix = made(model, torch.stack([source, target, torch.cat([source[:5], target[5:]])]))
        for index, end in enumerate(ends):
            shape[index] += distance(ranks(mix), ranks(end))
            greys[index] += distance(mix.flatten().sort().values, end.flatten().sort().values)
    assert shape[0] < 0.9 * shape[1]
    assert greys[1] < 0.7 * greys[0]


def ranks(volume: Tensor) -> Tensor:
    """Each voxel's place among the volume's, in [0, 1)."""
    return volume.flatten().argsort().argsort() / volume.numel()


def test_a_late_crossover_leaves_the_source_nearly_as_it_is(model: Generator) -> None:
    """Figure 6: the more styles come from the source, the nearer the mix is to it."""
    source, target = styles(model, 1, 2)
    mixes = made(model, torch.stack([torch.cat([source[:a], target[a:]]) for a in (0, 3, 5, 8, 9)]))
    away = [distance(mix, mixes[-1]) for mix in mixes]
    assert away[0] > away[2] > away[3] > 0
    assert away[3] < 0.3 * away[0]


def test_truncation_moves_to_the_mean_head(model: Generator) -> None:
    """Section 4.1: at psi 0 all seeds give one volume, and they part as psi grows."""
    mean, w = model.mean_style(), styles(model, 0, 1, 2)
    spread = []
    for psi in (0.0, 0.4, 0.7, 1.0):
        volumes = made(model, mean + psi * (w - mean))
        spread.append(float(volumes.std(0).mean()))
    assert spread[0] < 1e-6
    assert spread[1] < spread[2] < spread[3]
    average = made(model, mean[None])[0]
    assert 0.15 < float((average > 0.12).float().mean()) < 0.7


def test_the_encoder_is_a_better_start_than_the_mean(model: Generator) -> None:
    """Over six generated heads."""
    volumes = made(model, styles(model, *range(11, 17)))
    with torch.no_grad():
        again = made(model, model.encode(volumes[:, None]))
    assert distance(again, volumes) < 0.5 * distance(made(model, model.mean_style()[None]), volumes)


def test_a_mixed_latent_has_one_geometry_and_the_others_appearance() -> None:
    first, second = draw(2, torch.Generator().manual_seed(0))
    both = mixed(first, second)
    assert torch.equal(both[:APPEARANCE], first[:APPEARANCE])
    assert torch.equal(both[APPEARANCE:], second[APPEARANCE:])
    assert AXES["contrast"].start == APPEARANCE
    assert {subject(z) for z in draw(50, torch.Generator().manual_seed(1))} == {0, 1, 2}


@pytest.mark.slow
def test_every_phase_of_the_recipe_runs(tmp_path: Path) -> None:
    """On three scans of noise, a step or two each; done phases are not done again."""
    source = torch.Generator().manual_seed(0)
    heads = Heads([torch.rand(128, 128, 128, generator=source) for _ in range(3)], BOX_MM)
    one = Phase(1, 1, 1e-3)
    plan = Plan((Stretch("stage 1", 1, Phase(2, 2, 1e-3)), Stretch("stage 3", 3, one)), one, 1)
    seen: list[str] = []
    start(heads, tmp_path, plan, Share(), lambda phase, *_: seen.append(phase))
    assert seen == ["stage 1", "stage 1", "stage 3", "encoder"]
    networks = start(heads, tmp_path, plan, Share(), lambda phase, *_: seen.append(phase))
    folder = finish(heads, networks, tmp_path, plan, lambda phase, *_: seen.append(phase))
    assert seen[4:] == ["adversarial"]
    card = ModelCard.model_validate_json((folder / "card.json").read_bytes())
    assert card.provenance.iterations == {"supervised start": 3, "encoder": 1, "adversarial": 1}
    assert made(load(folder, card), load(folder, card).mean_style()[None]).shape == (1, 64, 64, 64)
