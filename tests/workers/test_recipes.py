"""Recipes on a tiny model: determinism, edits, inversion and fits against the networks and numpy run plainly."""

import numpy as np
import pytest
import torch

from contract.errors import InvalidRequest, UnreadableVolume
from contract.requests import EditRequest, EncodeRequest, FitDirectionRequest, GenerateRequest
from latents.sample import gaussian
from model_store.card import DirectionCard, PreprocessSpec, TruncationSpec
from model_store.catalogue import Catalogue
from model_store.load import load
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.recipes import encode, performed
from volumes.grids.grid import own_grid
from volumes.volume import Volume
from workers.bench import Bench
from workers.steps.recipe_events import Finding, Product, Stage


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_hagan(folder, "tiny")
    write_tiny_hagan(folder, "classes", classes=("mild", "severe"))
    write_tiny_hagan(folder, "blind", encoder=False)
    write_tiny_hagan(folder, "cut", truncation=TruncationSpec(kind="normal", default=1.0))
    write_tiny_hagan(folder, "fixed", preprocess=PreprocessSpec(window=(-1024.0, 600.0)))
    return folder


@pytest.fixture
def bench(models):
    return Bench(Catalogue([models]), threads=1)


def _products(events) -> list[Product]:
    return [event for event in events if isinstance(event, Product)]


def _arrays(events) -> list[np.ndarray]:
    return [np.asarray(product.volume.array) for product in _products(events)]


def _finding(events) -> tuple[list, dict]:
    """All latents and all metrics of a recipe."""
    findings = [event for event in events if isinstance(event, Finding)]
    latents = [latent for finding in findings for latent in finding.latents or []]
    metrics: dict = {}
    for finding in findings:
        metrics |= finding.metrics or {}
    return latents, metrics


def _generate(model="tiny", **fields) -> GenerateRequest:
    return GenerateRequest(model=model, **fields)


def test_a_generated_volume_is_the_networks_output_turned_to_ras(bench, models):
    (product,) = _products(performed(_generate(seed=5), bench))
    card = bench.card("tiny")
    network = load(models / "tiny", card)
    with torch.inference_mode():
        expected = network.synthesise(network.map(gaussian(5, 8)[None]))[0, 0].numpy()
    # Axes IAL: A0 downward, A1 forward, A2 to the left.
    by_hand = expected.transpose(2, 1, 0)[::-1, :, ::-1]
    assert np.array_equal(product.volume.array, by_hand)
    assert product.volume.axis_codes == "RAS"
    assert product.volume.spacing_mm == pytest.approx((2.0, 3.0, 4.0))
    assert product.latent.source == {"seed": 5}


def test_sample_k_of_a_batch_is_the_sample_of_seed_plus_k(bench):
    batch = _arrays(performed(_generate(seed=10, num_samples=3), bench))
    assert len(batch) == 3
    for k, array in enumerate(batch):
        (alone,) = _arrays(performed(_generate(seed=10 + k), bench))
        assert np.array_equal(array, alone)
    listed = _arrays(performed(_generate(seeds=[12, 10]), bench))
    assert np.array_equal(listed[0], batch[2])
    assert np.array_equal(listed[1], batch[0])


def test_a_given_latent_gives_what_its_seed_gives(bench):
    (drawn,) = _arrays(performed(_generate(seed=4), bench))
    (given,) = _products(performed(_generate(latents=[gaussian(4, 8).tolist()]), bench))
    assert np.array_equal(given.volume.array, drawn)
    assert given.latent.source == {"latent": gaussian(4, 8).tolist(), "space": "z"}


def test_the_class_shows_in_the_volume_and_may_be_named(bench):
    (mild,) = _arrays(performed(_generate("classes", seed=1, class_label="mild"), bench))
    (severe,) = _arrays(performed(_generate("classes", seed=1, class_label="severe"), bench))
    (second,) = _arrays(performed(_generate("classes", seed=1, class_label=1), bench))
    assert np.array_equal(severe, second)
    assert not np.array_equal(mild, severe)


def test_a_truncated_sample_can_be_made_again_from_its_source(bench):
    (product,) = _products(performed(_generate(seed=2, truncation=0.3), bench))
    source = product.latent.source
    assert max(abs(x) for x in source["latent"]) <= 0.3
    (again,) = _arrays(performed(_generate(latents=[source["latent"]]), bench))
    assert np.array_equal(product.volume.array, again)


def test_the_cards_default_truncation_acts_without_being_asked_for(bench):
    (product,) = _products(performed(_generate("cut", seed=2), bench))
    assert product.latent.source == {"seed": 2}
    assert torch.equal(product.latent.values, gaussian(2, 8, 1.0))
    (named,) = _products(performed(_generate("cut", seed=2, truncation=1.0), bench))
    assert np.array_equal(named.volume.array, product.volume.array)


def test_progress_is_told_before_each_volume(bench):
    stages = [e for e in performed(_generate(seed=1, num_samples=2), bench) if isinstance(e, Stage)]
    assert [(s.name, s.done, s.total) for s in stages] == [("load", 0, 2), ("forward", 0, 2), ("forward", 1, 2)]


def _direction(card, **fields) -> DirectionCard:
    base = {"name": "d", "method": "regression", "vector": [0.6, 0.8] + [0.0] * 6, "std": 1.5, "slope": 2.0}
    return DirectionCard(**(base | {"intercept": 1.0, "model_sha256": card.sha256} | fields))


def _edit(change: dict, source: dict | None = None, model="tiny") -> EditRequest:
    return EditRequest.model_validate({"model": model, "source": source or {"seed": 3}, "edit": change})


def test_a_move_goes_along_the_direction_and_strength_0_stays(bench):
    request = _edit({"op": "move", "direction": "d", "strengths": [-3.0, 0.0, 0.5]})
    products = _products(performed(request, bench, _direction(bench.card("tiny"))))
    z = gaussian(3, 8)
    for product, strength in zip(products, (-3.0, 0.0, 0.5), strict=True):
        expected = z + strength * 1.5 * torch.tensor([0.6, 0.8] + [0.0] * 6)
        assert torch.allclose(product.latent.values, expected, atol=1e-6)
    assert [p.label for p in products] == ["strength=-3", "strength=0", "strength=0.5"]
    (plain,) = _arrays(performed(_generate(seed=3), bench))
    assert np.array_equal(products[1].volume.array, plain)
    assert not np.array_equal(products[0].volume.array, plain)


def test_a_target_is_reached_by_the_regressions_own_prediction(bench):
    direction = _direction(bench.card("tiny"))
    request = _edit({"op": "target", "direction": "d", "values": [4.0, -7.0]})
    *events, found = performed(request, bench, direction)
    products = _products(events)
    for product, value in zip(products, (4.0, -7.0), strict=True):
        along = float(product.latent.values @ torch.tensor(direction.vector))
        assert 2.0 * along + 1.0 == pytest.approx(value, abs=1e-4)
    assert [p.label for p in products] == ["target=4", "target=-7"]
    # How far that was, in the units of a move.
    strengths = found.metrics["strengths"]
    moved = _products(performed(_edit({"op": "move", "direction": "d", "strengths": strengths}), bench, direction))
    for product, same in zip(products, moved, strict=True):
        torch.testing.assert_close(product.latent.values, same.latent.values)


def test_an_interpolation_has_both_ends_and_stays_on_the_shell(bench):
    request = _edit({"op": "interpolate", "target": {"latent": gaussian(9, 8).tolist()}, "steps": 5})
    products = _products(performed(request, bench))
    assert len(products) == 5
    ends = _arrays(performed(_generate(seeds=[3, 9]), bench))
    assert np.array_equal(products[0].volume.array, ends[0])
    assert np.array_equal(products[-1].volume.array, ends[1])
    lengths = [float(p.latent.values.norm()) for p in products]
    assert min(lengths) >= min(lengths[0], lengths[-1]) * 0.99


def test_mixing_needs_styles(bench):
    request = _edit({"op": "mix", "target": {"seed": 4}, "crossover": 1})
    with pytest.raises(InvalidRequest, match="no styles to mix"):
        request.check(bench.card("tiny"))


def _scan(bench, model="fixed") -> Volume:
    """What the model itself made of a seed, in HU on the model's own grid."""
    (product,) = _products(performed(_generate(model, seed=6), bench))
    return Volume((np.asarray(product.volume.array) + 1) / 2 * 1624 - 1024, product.volume.affine)


def test_an_encode_is_the_encoder_on_the_windowed_cube(bench, models):
    """A scan on the model's own grid and range: the preprocessing then changes nothing."""
    request = EncodeRequest(model="fixed")
    latents, metrics = _finding(encode(request, _scan(bench), bench))
    network = load(models / "fixed", bench.card("fixed"))
    with torch.inference_mode():
        volume = network.synthesise(network.map(gaussian(6, 8)[None]))
        expected = network.encode(volume)[0, 0]
    assert torch.allclose(latents[0].values, expected, atol=1e-3)
    assert metrics["window"] == [-1024.0, 600.0]


def test_a_reconstruction_comes_on_both_grids_with_its_errors(bench):
    scan = _scan(bench)
    wide = np.repeat(np.repeat(scan.array, 2, axis=0), 2, axis=2)
    affine = scan.affine.copy()
    affine[:3, 0] /= 2
    affine[:3, 2] /= 2
    affine[:3, 3] += (3.0, -20.0, 11.0)
    scan = Volume(wide, affine)
    events = list(encode(EncodeRequest(model="fixed", reconstruct=True), scan, bench))
    on_model, on_scan = _products(events)
    assert (on_model.label, on_scan.label) == ("reconstruction", "reconstruction-scan-grid")
    assert on_model.volume.shape == (32, 32, 32)
    assert on_scan.volume.shape == (64, 32, 64)
    assert np.allclose(on_scan.volume.affine, affine)
    corner = np.array([-0.5, -0.5, -0.5, 1])
    assert np.allclose(on_model.volume.affine @ corner, affine @ corner)
    latents, metrics = _finding(events)
    (again,) = _arrays(performed(_generate("fixed", latents=[latents[0].values.tolist()]), bench))
    assert np.array_equal(on_model.volume.array, again)
    real = (wide + 1024) / 812 - 1
    error = np.asarray(on_scan.volume.array, dtype=np.float64) - real
    assert metrics["scan_grid"]["mae"] == pytest.approx(np.abs(error).mean() * 812, rel=1e-3)
    assert metrics["scan_grid"]["psnr"] == pytest.approx(10 * np.log10(4 / (error**2).mean()), rel=1e-3)
    assert -1 <= metrics["ssim"] <= 1
    assert metrics["mae_units"] == "HU"


def test_refinement_reports_a_falling_loss_and_a_better_latent(bench):
    scan = _scan(bench)
    request = EncodeRequest(model="fixed", refine_steps=15, reconstruct=True)
    events = list(encode(request, scan, bench))
    _, metrics = _finding(events)
    losses = metrics["refine_loss"]
    assert len(losses) == 16
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    _, unrefined = _finding(encode(EncodeRequest(model="fixed", reconstruct=True), scan, bench))
    assert metrics["psnr"] > unrefined["psnr"]
    assert [e.done for e in events if isinstance(e, Stage) and e.name == "refine"] == list(range(16))


def test_encoding_twice_gives_the_same_latent(bench):
    scan = _scan(bench)
    request = EncodeRequest(model="fixed", refine_steps=3)
    first, second = (_finding(encode(request, scan, bench))[0][0].values for _ in range(2))
    assert torch.equal(first, second)


def test_the_requests_preprocessing_goes_over_the_cards(bench):
    scan = _scan(bench)
    plain, _ = _finding(encode(EncodeRequest(model="fixed"), scan, bench))
    preprocess = {"window": [-500.0, 500.0]}
    request = EncodeRequest.model_validate({"model": "fixed", "preprocess": preprocess})
    windowed, metrics = _finding(encode(request, scan, bench))
    assert metrics["window"] == [-500.0, 500.0]
    assert not torch.equal(plain[0].values, windowed[0].values)


def test_a_declared_orientation_replaces_a_wrong_one(bench):
    """The scan's file calls its right side left; declaring the truth gives the latent of the sound scan."""
    scan = _scan(bench)
    wrong = scan.affine.copy()
    wrong[0] *= -1
    request = EncodeRequest.model_validate({"model": "fixed", "preprocess": {"orientation": "RAS"}})
    sound, _ = _finding(encode(EncodeRequest(model="fixed"), scan, bench))
    mended, _ = _finding(encode(request, Volume(scan.array, wrong), bench))
    assert torch.allclose(sound[0].values, mended[0].values, atol=1e-5)


def test_a_scan_of_few_slices_is_reconstructed_without_ssim(bench):
    scan = _scan(bench)
    thin = Volume(scan.array[:, :, :5], scan.affine)
    events = list(encode(EncodeRequest(model="fixed", reconstruct=True), thin, bench))
    assert _products(events)[1].volume.shape == (32, 32, 5)
    assert _finding(events)[1]["scan_grid"]["ssim"] is None


def test_a_blank_scan_is_unreadable(bench):
    blank = Volume(np.full((20, 20, 20), 7.0), np.eye(4))
    with pytest.raises(UnreadableVolume):
        list(encode(EncodeRequest(model="tiny"), blank, bench))


def _fit(fit: dict, model="tiny") -> FitDirectionRequest:
    return FitDirectionRequest.model_validate({"model": model, "fit": fit})


def _directions(events) -> list[DirectionCard]:
    return [event.direction for event in events if isinstance(event, Finding) and event.direction]


def test_a_fit_to_given_samples_recovers_a_known_line(bench):
    vector = np.array([0.0, 3.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0])
    samples = [{"source": {"seed": k}, "value": float(gaussian(k, 8).numpy() @ vector + 2)} for k in range(30)]
    samples += [{"source": {"latent": [1.0] * 8}, "value": 9.0}]
    fit = {"method": "regression", "name": "lung", "attribute": "lung_volume", "samples": samples}
    (direction,) = _directions(performed(_fit(fit), bench))
    assert direction.vector == pytest.approx((vector / 5).tolist(), abs=1e-4)
    assert direction.slope == pytest.approx(5, abs=1e-3)
    assert direction.intercept == pytest.approx(2, abs=1e-3)
    assert direction.r2 == pytest.approx(1, abs=1e-4)
    assert direction.model_sha256 == bench.card("tiny").sha256


@pytest.mark.parametrize("model", ["tiny", "classes"])
def test_a_measured_fit_predicts_what_it_measured(bench, model):
    measure = {"name": "volume_above", "threshold": -200.0}
    fit = {"method": "regression", "name": "bone", "attribute": "bone", "measure": measure, "num_samples": 8}
    events = list(performed(_fit(fit, model), bench))
    (direction,) = _directions(events)
    label = "mild" if model == "classes" else None
    (volume,) = _arrays(performed(_generate(model, seed=0, class_label=label), bench))
    by_hand = (((volume + 1) / 2 * 1624 - 1024) > -200).sum() * 24 / 1000
    # Eight samples of an eight-dimensional latent: the fit runs through nearly all of them.
    predicted = direction.slope * float(gaussian(0, 8).numpy() @ np.array(direction.vector)) + direction.intercept
    assert predicted == pytest.approx(by_hand, rel=0.02)
    assert direction.units == "mL"
    assert [e.done for e in events if isinstance(e, Stage) and e.name == "forward"] == list(range(8))


def test_samples_that_all_measure_the_same_give_no_direction(bench):
    measure = {"name": "volume_above", "threshold": 5000.0}
    fit = {"method": "regression", "name": "n", "attribute": "a", "measure": measure, "num_samples": 8}
    with pytest.raises(InvalidRequest, match="same value"):
        list(performed(_fit(fit), bench))


def test_sefa_names_the_directions_that_fc1_stretches_most(bench, models):
    fit = {"method": "sefa", "name_prefix": "free", "count": 3}
    directions = _directions(performed(_fit(fit, "classes"), bench))
    assert [direction.name for direction in directions] == ["free-1", "free-2", "free-3"]
    (matrix,) = load(models / "classes", bench.card("classes")).style_matrices()
    _, _, vh = np.linalg.svd(matrix.double().numpy())
    for direction, expected in zip(directions, vh, strict=False):
        assert abs(np.dot(direction.vector, expected)) == pytest.approx(1, abs=1e-5)


def test_own_grid_is_where_generated_volumes_lie(bench):
    card = bench.card("tiny")
    (product,) = _products(performed(_generate(seed=1), bench))
    assert np.array_equal(product.volume.affine, own_grid(card.shape, card.axes, card.spacing_mm).affine)
