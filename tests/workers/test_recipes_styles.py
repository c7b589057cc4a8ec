"""Recipes on tiny models with a style space: mixing, truncation, noise, directions and inversion, against the networks
and numpy run plainly."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contract.errors import InvalidRequest
from contract.requests import EditRequest, EncodeRequest, FitDirectionRequest, GenerateRequest
from latents.sample import gaussian
from model_store.card import DirectionCard, PreprocessSpec, TruncationSpec
from model_store.catalogue import Catalogue
from model_store.load import load
from tests.support.models.stylegan3d_pickles import generator
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.models.tiny_progan import write_progan
from tests.support.models.tiny_split_shuffle import write_split_shuffle
from tests.support.models.tiny_stylegan import write_stylegan
from tests.support.models.tiny_stylegan3d import write_stylegan3d
from tests.support.recipes import encode, performed
from volumes.volume import Volume
from workers.bench import Bench
from workers.run import replay, run
from workers.steps.recipe_events import Finding, Product, Stage
from workers.writing.folder_sink import FolderSink

OWN_RANGE = PreprocessSpec(window=(-1024.0, 600.0))
STYLED = ["stylegan", "psi", "stylegan3d", "classes", "split-shuffle"]
CLASSES = {"classes": 1}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_stylegan(folder, "stylegan", preprocess=OWN_RANGE)
    write_stylegan(folder, "psi", truncation=TruncationSpec(kind="psi", default=0.6, cutoff=4), encoder=False)
    write_stylegan3d(folder, "stylegan3d", generator(), truncation=TruncationSpec(kind="psi"))
    write_stylegan3d(folder, "classes", generator(num_classes=3), truncation=TruncationSpec(kind="psi"))
    write_split_shuffle(folder, "split-shuffle", critic=False)
    write_progan(folder, "progan", preprocess=OWN_RANGE)
    write_tiny_hagan(folder, "blind", encoder=False)
    return folder


@pytest.fixture
def bench(models: Path) -> Bench:
    return Bench(Catalogue([models]), threads=1)


def _body(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "class_label": CLASSES.get(model)} | fields


def _generate(model: str, bench: Bench, **fields: Any) -> list[Product]:
    return _products(performed(GenerateRequest.model_validate(_body(model, **fields)), bench))


def _edit(
    model: str, bench: Bench, change: dict[str, Any], direction: DirectionCard | None = None, **fields: Any
) -> list[Product]:
    body = _body(model, edit=change, **({"source": {"seed": 1}} | fields))
    return _products(performed(EditRequest.model_validate(body), bench, direction))


def _products(events: Iterable[Any]) -> list[Product]:
    return [event for event in events if isinstance(event, Product)]


def _findings(events: Iterable[Any]) -> list[Finding]:
    return [event for event in events if isinstance(event, Finding)]


def _array(product: Product) -> np.ndarray:
    return np.asarray(product.volume.array)


def _style(models: Path, bench: Bench, model: str, seed: int) -> torch.Tensor:
    """w (num_styles, w_dim) of a seed, from the network itself."""
    network = load(models / model, bench.card(model))
    return network.map(gaussian(seed, bench.card(model).latent.z_dim)[None], CLASSES.get(model))[0]


def _rendered(models: Path, bench: Bench, model: str, w: torch.Tensor) -> np.ndarray:
    """(A0, A1, A2) of the network itself, turned from IAL to RAS."""
    network = load(models / model, bench.card(model))
    with torch.inference_mode():
        volume = network.synthesise(w[None])[0, 0].numpy()
    return volume.transpose(2, 1, 0)[::-1, :, ::-1]


# -- mixing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["stylegan", "stylegan3d", "classes", "split-shuffle"])
def test_a_mix_has_the_sources_styles_first_and_the_targets_after(bench: Bench, models: Path, model: str) -> None:
    first, second = (_style(models, bench, model, seed) for seed in (1, 2))
    for crossover in (0, 2, len(first)):
        (product,) = _edit(model, bench, {"op": "mix", "target": {"seed": 2}, "crossover": crossover})
        w = torch.cat([first[:crossover], second[crossover:]])
        assert torch.equal(product.latent.values, w)
        assert np.array_equal(_array(product), _rendered(models, bench, model, w))
        assert product.label == f"crossover={crossover}"
    ends = [_array(product) for product in _generate(model, bench, seeds=[1, 2])]
    assert np.array_equal(_array(product), ends[0])
    assert not np.array_equal(ends[0], ends[1])


def test_a_mix_takes_latents_of_either_space(bench: Bench, models: Path) -> None:
    source = {"latent": gaussian(1, 8).tolist(), "space": "z"}
    target = {"latent": _style(models, bench, "stylegan", 2)[0].tolist(), "space": "w"}
    (by_latents,) = _edit("stylegan", bench, {"op": "mix", "target": target, "crossover": 3}, source=source)
    (by_seeds,) = _edit("stylegan", bench, {"op": "mix", "target": {"seed": 2}, "crossover": 3})
    assert np.array_equal(_array(by_latents), _array(by_seeds))


# -- truncation ------------------------------------------------------------------------------------------------------


def test_psi_and_cutoff_are_the_papers_formula(bench: Bench, models: Path) -> None:
    """w-bar + psi (w - w-bar), on the first styles alone where there is a cutoff (bone paper, section 4.1)."""
    network = load(models / "stylegan", bench.card("stylegan"))
    w, mean = _style(models, bench, "stylegan", 5), network.mean_style()
    for cutoff, expected in ((None, mean + 0.3 * (w - mean)), (2, torch.cat([(mean + 0.3 * (w - mean))[:2], w[2:]]))):
        (product,) = _generate("stylegan", bench, seed=5, truncation=0.3, truncation_cutoff=cutoff)
        assert torch.allclose(product.latent.values, expected, atol=1e-6)
        assert np.array_equal(_array(product), _rendered(models, bench, "stylegan", product.latent.values))
    (at_zero,) = _generate("stylegan", bench, seed=5, truncation=0.0)
    assert np.array_equal(_array(at_zero), _rendered(models, bench, "stylegan", mean))


REMADE: dict[str, dict[str, Any]] = {
    "by default": {"seed": 4},
    "psi": {"seed": 4, "truncation": 0.5},
    "psi 1": {"seed": 4, "truncation": 1.0},
    "cutoff": {"seed": 4, "truncation": 0.5, "truncation_cutoff": 3},
    "given z": {"latents": [[0.3, -1.0, 0.2, 2.0, 0.0, -0.4, 1.1, 0.7]], "truncation": 0.5},
    "random noise": {"seed": 4, "truncation": 0.5, "noise": "random", "noise_seed": 9},
}


@pytest.mark.parametrize("fields", REMADE.values(), ids=REMADE)
@pytest.mark.parametrize("model", STYLED)
def test_a_sample_can_be_made_again_from_its_own_source(bench: Bench, model: str, fields: dict[str, Any]) -> None:
    (product,) = _generate(model, bench, **fields)
    source = json.loads(json.dumps(product.latent.source))  # as it goes through a record
    noise = {name: fields[name] for name in ("noise", "noise_seed") if name in fields}
    (again,) = _edit(model, bench, {"op": "interpolate", "target": {"seed": 0}, "steps": 2}, source=source, **noise)[:1]
    assert np.array_equal(_array(again), _array(product))
    if "latent" in source:
        latents = {"latents": [source["latent"]], "latent_space": source["space"]}
        (once_more,) = _generate(model, bench, **latents, **noise)
        assert np.array_equal(_array(once_more), _array(product))


def test_a_given_style_is_truncated_where_the_request_says_so(bench: Bench, models: Path) -> None:
    """And not by the card's own psi: a style is what psi has made already."""
    w = _style(models, bench, "psi", 3)
    given = {"latents": [w.tolist()], "latent_space": "w"}
    (plain,) = _generate("psi", bench, **given)
    assert torch.equal(plain.latent.values, w)
    mean = load(models / "psi", bench.card("psi")).mean_style()
    (cut,) = _generate("psi", bench, **given, truncation=0.5)
    assert torch.allclose(cut.latent.values, torch.cat([(mean + 0.5 * (w - mean))[:4], w[4:]]), atol=1e-6)


# -- walks and directions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", STYLED)
def test_an_interpolation_between_styles_is_a_straight_line_with_both_ends(bench: Bench, model: str) -> None:
    products = _edit(model, bench, {"op": "interpolate", "target": {"seed": 2}, "steps": 3})
    ends = [_array(product) for product in _generate(model, bench, seeds=[1, 2])]
    assert np.array_equal(_array(products[0]), ends[0])
    assert np.array_equal(_array(products[-1]), ends[1])
    first, middle, last = (product.latent.values for product in products)
    assert torch.allclose(middle, (first + last) / 2, atol=1e-5)


def _fit(model: str, bench: Bench, fit: dict[str, Any]) -> list[DirectionCard]:
    events = performed(FitDirectionRequest.model_validate({"model": model, "fit": fit}), bench)
    return [finding.direction for finding in _findings(events) if finding.direction]


@pytest.mark.parametrize("model", ["stylegan", "classes", "split-shuffle"])
def test_sefa_factorises_the_stacked_style_matrices_in_w(bench: Bench, models: Path, model: str) -> None:
    """Equation 11 of the bone paper, by numpy's SVD; a unit of strength is the spread of w along the direction."""
    directions = _fit(model, bench, {"method": "sefa", "name_prefix": "free", "count": 3})
    network = load(models / model, bench.card(model))
    stacked = np.concatenate([matrix.double().numpy() for matrix in network.style_matrices()])
    _, _, vh = np.linalg.svd(stacked)
    z = torch.stack([gaussian(seed, 8) for seed in range(3000, 5000)])
    labels = range(3) if model == "classes" else [None]
    styles = torch.cat([network.map(z, label)[:, 0] for label in labels]).double().numpy()
    for direction, expected in zip(directions, vh, strict=False):
        assert direction.space == "w"
        assert abs(np.dot(direction.vector, expected)) == pytest.approx(1, abs=1e-5)
        assert direction.std == pytest.approx((styles @ np.array(direction.vector)).std(), rel=0.15)
        assert direction.fits(bench.card(model))


def test_a_move_in_w_shifts_every_style_by_the_same(bench: Bench, models: Path) -> None:
    (direction,) = _fit("stylegan", bench, {"method": "sefa", "name_prefix": "free", "count": 1})
    change = {"op": "move", "direction": "free-1", "strengths": [-2.0, 0.0, 1.5]}
    w = _style(models, bench, "stylegan", 1)
    products = _edit("stylegan", bench, change, direction)
    for product, strength in zip(products, change["strengths"], strict=True):
        expected = w + strength * direction.std * torch.tensor(direction.vector)
        assert torch.allclose(product.latent.values, expected, atol=1e-6)
        assert product.latent.space == "w"
    (plain,) = _generate("stylegan", bench, seed=1)
    assert np.array_equal(_array(products[1]), _array(plain))


@pytest.mark.parametrize("model", ["stylegan", "classes"])
def test_a_regression_in_w_predicts_and_its_target_is_reached(bench: Bench, model: str) -> None:
    measure = {"name": "mean_intensity"}
    fit = {"method": "regression", "name": "d", "attribute": "density", "measure": measure, "num_samples": 16}
    (direction,) = _fit(model, bench, fit)
    vector = np.array(direction.vector)
    slope, intercept = direction.slope, direction.intercept
    assert slope is not None
    assert intercept is not None
    wanted = [intercept + 0.5 * slope, intercept - 1.5 * slope]
    change = {"op": "target", "direction": "d", "values": wanted, "max_strength": 100.0}
    products = _edit(model, bench, change, direction)
    for product, value in zip(products, wanted, strict=True):
        row = product.latent.values.double().mean(0).numpy()
        assert slope * float(row @ vector) + intercept == pytest.approx(value, abs=1e-4 * slope)


def test_a_direction_of_z_does_not_take_a_style(bench: Bench) -> None:
    card = bench.card("stylegan")
    direction = DirectionCard(name="d", method="sefa", vector=[1.0] + [0.0] * 7, std=1.0, model_sha256=card.sha256)
    change = {"op": "move", "direction": "d", "strengths": [1.0]}
    (moved,) = _edit("stylegan", bench, change, direction)
    assert moved.latent.space == "z"
    with pytest.raises(InvalidRequest) as caught:
        _edit("stylegan", bench, change, direction, source={"latent": [0.0] * 8, "space": "w"})
    assert caught.value.errors[0][0] == "/source/space"


# -- noise -----------------------------------------------------------------------------------------------------------


def test_random_noise_follows_the_samples_own_seed(bench: Bench) -> None:
    batch = _generate("stylegan", bench, seed=10, num_samples=3, noise="random", noise_seed=10)
    assert [product.latent.noise_seed for product in batch] == [10, 11, 12]
    for k, product in enumerate(batch):
        for origin in ({"seed": 10 + k, "noise_seed": 10 + k}, {"seeds": [10 + k]}):
            (alone,) = _generate("stylegan", bench, **origin, noise="random")
            assert np.array_equal(_array(alone), _array(product))
    constant = _generate("stylegan", bench, seed=10)[0]
    assert constant.latent.noise_seed is None
    assert not np.array_equal(_array(constant), _array(batch[0]))
    (other,) = _generate("stylegan", bench, seed=10, noise="random", noise_seed=77)
    assert not np.array_equal(_array(other), _array(batch[0]))


def test_an_edit_has_the_same_noise_in_all_its_volumes(bench: Bench) -> None:
    change = {"op": "interpolate", "target": {"seed": 2}, "steps": 3}
    products = _edit("stylegan", bench, change, noise="random", noise_seed=5)
    assert {product.latent.noise_seed for product in products} == {5}
    (end,) = _generate("stylegan", bench, seed=2, noise="random", noise_seed=5)
    assert np.array_equal(_array(products[-1]), _array(end))


JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "noise of a drawn seed": ("generate", {"num_samples": 2, "noise": "random"}),
    "noise of latents": ("generate", {"latents": [[0.5] * 8, [0.1] * 8], "noise": "random"}),
    "noise of seeds": ("generate", {"seeds": [3, 1], "noise": "random", "truncation": 0.5}),
    "mix": ("edit", {"source": {"seed": 1}, "edit": {"op": "mix", "target": {"seed": 2}, "crossover": 3},
                     "noise": "random", "truncation": 0.7, "truncation_cutoff": 2}),
    "mix of a latent": ("edit", {"source": {"latent": [0.2] * 8, "space": "w"}, "noise": "random",
                                 "edit": {"op": "mix", "target": {"seed": 2}, "crossover": 3}}),
}  # fmt: skip


@pytest.mark.parametrize("job", JOBS)
def test_a_job_with_random_noise_replays_to_the_same_bytes(bench: Bench, tmp_path: Path, job: str) -> None:
    kind, body = JOBS[job]
    manifest = run(kind, {"model": "stylegan"} | body, None, bench, FolderSink(tmp_path / "first"))
    record = json.loads((tmp_path / "first" / "provenance.json").read_text())
    replay(record, None, bench, FolderSink(tmp_path / "again"))
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    noises = [entry.noise_seed for entry in manifest.results]
    assert [made["noise_seed"] for made in record["results"]] == noises
    assert None not in noises
    if "seeds" in body:
        assert noises == body["seeds"]
    elif kind == "generate":
        assert noises == [record["request"]["noise_seed"], record["request"]["noise_seed"] + 1]
    else:
        assert noises == [body["source"].get("seed", record["request"]["noise_seed"])]


# -- inversion -------------------------------------------------------------------------------------------------------


def _scan(model: str, bench: Bench, seed: int = 6) -> Volume:
    """What the model itself made of a seed, in HU on the model's own grid."""
    (product,) = _generate(model, bench, seed=seed)
    low, high = bench.card(model).intensity.network_range
    stored = (_array(product) - low) / (high - low) * 1624 - 1024
    return Volume(stored, product.volume.affine)


def _encode(model: str, bench: Bench, scan: Volume, **fields: Any) -> tuple[torch.Tensor, dict[str, Any], list[Any]]:
    """Latent, all metrics, all events."""
    preprocess = {"window": [-1024.0, 600.0]}
    request = EncodeRequest.model_validate({"model": model, "preprocess": preprocess} | fields)
    events = list(encode(request, scan, bench))
    findings = _findings(events)
    metrics: dict[str, Any] = {}
    for finding in findings:
        metrics |= finding.metrics or {}
    (latent,) = [latent for finding in findings for latent in finding.latents or []]
    return latent.values, metrics, events


@pytest.mark.parametrize("model", ["stylegan", "progan"])
def test_the_inversion_weighs_voxels_critic_and_latent(bench: Bench, models: Path, model: str) -> None:
    """The loss at the encoder's guess is recomputed here, by the formulas of the paper's section 3.5."""
    scan = _scan(model, bench)
    _, metrics, events = _encode(model, bench, scan, refine_steps=8)
    losses = metrics["refine_loss"]
    assert len(losses) == 9
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    assert metrics["refine_steps"] == 8
    assert sum(metrics["refine_terms"].values()) == pytest.approx(losses[-1])
    assert "refine_diverged_at" not in metrics
    assert [e.done for e in events if isinstance(e, Stage) and e.name == "refine"] == list(range(9))
    network = load(models / model, bench.card(model))
    with torch.no_grad():
        volume = network.synthesise(network.map(gaussian(6, 8)[None]))
        w = network.encode(volume)
        made = network.synthesise(w)
        seen = network.critic_features(volume)[-1] - network.critic_features(made)[-1]
        if model == "progan":
            latent = w.square().mean()
        else:
            styles = network.map(torch.stack([gaussian(seed, 8) for seed in range(256)]))[:, 0]
            spread = styles.std(0)
            latent = ((w[0] - network.mean_style()) / spread.clamp_min(0.1 * float(spread.mean()))).square().mean()
        expected = (volume - made).square().mean() + seen.square().mean() + 1e-3 * latent
    assert losses[0] == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("model", ["psi", "stylegan3d", "classes", "split-shuffle"])
def test_a_model_without_an_encoder_is_inverted_from_its_mean(bench: Bench, model: str) -> None:
    scan = _scan(model, bench)
    w, metrics, _ = _encode(model, bench, scan, reconstruct=True)
    assert metrics["refine_steps"] == 100
    assert metrics["refine_loss"][-1] < 0.5 * metrics["refine_loss"][0]
    sizes = bench.card(model).latent
    assert w.shape == (sizes.num_styles, sizes.w_dim)
    assert torch.equal(w, w[:1].expand_as(w))
    assert metrics["psnr"] > 10


def test_refine_steps_of_a_model_without_an_encoder_may_be_named(bench: Bench) -> None:
    _, metrics, _ = _encode("psi", bench, _scan("psi", bench), refine_steps=3)
    assert metrics["refine_steps"] == 3
    assert len(metrics["refine_loss"]) == 4


def test_an_encoded_scan_can_be_mixed_and_made_again(bench: Bench) -> None:
    scan = _scan("stylegan", bench)
    w, _, events = _encode("stylegan", bench, scan, reconstruct=True)
    source = {"latent": w.tolist(), "space": "w"}
    (mixed,) = _edit("stylegan", bench, {"op": "mix", "target": {"seed": 2}, "crossover": 6}, source=source)
    assert np.array_equal(_array(mixed), _array(_products(events)[0]))


@pytest.mark.parametrize("model", ["blind", "psi"])
def test_a_refinement_that_only_rises_ends_with_the_best_latent_and_says_so(bench: Bench, model: str) -> None:
    """The scan is the mean latent's own volume: every step leads away from it."""
    mean = {"latents": [[0.0] * 8]} if model == "blind" else {"seed": 0, "truncation": 0.0, "truncation_cutoff": 6}
    (product,) = _generate(model, bench, **mean)
    low, high = bench.card(model).intensity.network_range
    scan = Volume((_array(product) - low) / (high - low) * 1624 - 1024, product.volume.affine)
    latent, metrics, events = _encode(model, bench, scan, refine_steps=200)
    assert metrics["refine_diverged_at"] == metrics["refine_steps"] == 10
    assert len(metrics["refine_loss"]) == 11
    assert metrics["refine_loss"][0] == metrics["refine_loss"][-1] < 1e-9
    assert torch.equal(latent, product.latent.values)
    assert [e.done for e in events if isinstance(e, Stage) and e.name == "refine"] == list(range(11))
