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
from model_store.networks.reversed_encoder import ReversedEncoder
from training.demo.head_style_128 import BOX_MM, Plan, make
from training.demo.style_anatomy import APPEARANCE, Heads, attributes_of, draw
from training.demo.style_start import solve_latent
from training.demo.warm_start import Phase, Scans

FOLDER = SHIPPED / "head-style-128"
MAX_BYTES = 16 * 10**6


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return Catalogue([SHIPPED]).card("head-style-128")


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
    assert card.shape == (128, 128, 128)
    assert card.has_encoder
    assert len(card.provenance.sources) == 4
    assert card.provenance.licences
    assert "style-model" in card.provenance.command
    assert {"supervised start", "mapping", "encoder", "encoder's dense layers"} == set(card.provenance.iterations)
    assert (FOLDER / "weights.safetensors").stat().st_size <= MAX_BYTES


def test_samples_are_heads_and_differ_between_seeds(model: Generator) -> None:
    volumes = made(model, styles(model, 0, 1))
    for volume in volumes:
        tissue = volume > 0.12
        assert 0.15 < float(tissue.float().mean()) < 0.7
        # A head in a box: the middle is tissue, the upper edges of the box are air.
        assert tissue[40:70, 50:78, 50:78].float().mean() > 0.8
        assert tissue[:20, :12].float().mean() < 0.05
    assert distance(volumes[0], volumes[1]) > 0.01


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


def test_early_styles_read_geometry_alone_and_late_ones_appearance_alone(model: Generator) -> None:
    """Section 4.3, exactly: where the styles are exchanged between them, each side gives its part and nothing else."""
    w = styles(model, 1)[0]
    lit, shaped = w.clone(), w.clone()
    lit[:5, -3:] += 2
    shaped[5:, :-3] += 2
    first, same_lit, same_shaped = made(model, torch.stack([w, lit, shaped]))
    torch.testing.assert_close(same_lit, first)
    torch.testing.assert_close(same_shaped, first)


def heads_of_noise() -> Heads:
    """Three known ones and another, at 256^3."""
    coarse = torch.rand(4, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    scans = list(torch.nn.functional.interpolate(coarse, scale_factor=16, mode="trilinear")[:, 0].byte())
    return Heads(Scans(scans[:3], [], BOX_MM, scans[3:]))


def test_w_names_one_head_shapes_it_alone_and_lights_it() -> None:
    heads = heads_of_noise()
    attributes = attributes_of(draw(50, torch.Generator().manual_seed(1)))
    w = heads.styles(attributes)
    assert torch.equal(w[:, heads.geometry :], attributes[:, APPEARANCE])
    named, size, length = w[:, : heads.geometry].view(50, 3, 3).unbind(2)
    assert set(named.argmax(1).tolist()) == {0, 1, 2}
    assert torch.equal(named.count_nonzero(1), torch.ones(50, dtype=torch.int64))
    assert not size[named == 0].any()
    assert not length[named == 0].any()


def test_the_encoders_regression_knows_what_is_linear_in_its_features() -> None:
    source = torch.Generator().manual_seed(0)
    encoder = ReversedEncoder((2, 2, 2), [8, 4], 3, dense=2)
    features = torch.randn(120, 64, generator=source)
    truth = features[:, :3] - 2 * features[:, 3:6] + 5
    solve_latent(encoder, features[:100], truth[:100])
    with torch.no_grad():
        found = encoder.latent(features)
    assert float((found - truth)[100:].square().mean()) < 0.05 * float(truth.var())


def test_a_blend_keeps_the_appearance_and_most_of_the_head_that_it_was() -> None:
    heads = heads_of_noise()
    source = torch.Generator().manual_seed(2)
    styles = heads.styles(attributes_of(draw(60, source)))
    blends = heads.blended(styles, source)
    assert torch.equal(blends[:20], styles[:20])  # a third is of one head alone
    assert torch.equal(blends[:, heads.geometry :], styles[:, heads.geometry :])
    before, after = (w[:, : heads.geometry].view(60, 3, 3) for w in (styles, blends))
    assert torch.equal(after[:, :, 0].argmax(1), before[:, :, 0].argmax(1))
    torch.testing.assert_close(after.sum(1), before.sum(1))
    assert float((after[20:, :, 0] > 0.1).sum(1).float().mean()) > 2
    assert float(after[20:, :, 0].amax(1).mean()) < 2.8


@pytest.mark.slow
def test_every_phase_of_the_recipe_runs(tmp_path: Path) -> None:
    """On scans of smooth noise, a step or two each; done phases are not done again."""
    heads, one = heads_of_noise(), Phase(1, 1, 1e-3)
    plan = Plan(Phase(2, 2, 1e-3), one, (0, 1), one, one, one, Phase(2, 8, 1e-3), one, 3, one)
    seen: list[str] = []
    folder = make(heads, tmp_path, plan, lambda phase, *_: seen.append(phase))
    once = ["fine", "finer", "image", "whole", "mapping", "mapping", "encoder", *["scans for the encoder"] * 3]
    assert seen == ["coarse", "coarse", *once, "decision"]
    assert make(heads, tmp_path, plan, lambda phase, *_: seen.append(phase)) == folder
    assert len(seen) == 13
    assert folder is not None
    card = ModelCard.model_validate_json((folder / "card.json").read_bytes())
    assert card.provenance.iterations == {
        "supervised start": 6,
        "mapping": 2,
        "encoder": 1,
        "encoder's dense layers": 1,
    }
    model = load(folder, card)
    assert made(model, model.mean_style()[None]).shape == (1, 128, 128, 128)
