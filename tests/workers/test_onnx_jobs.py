"""What can be asked of a model that came as an ONNX file, recipe by recipe."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contract.errors import MemoryLimit, VerbNotSupported
from contract.requests import EditRequest, EncodeRequest, FitDirectionRequest, GenerateRequest
from model_store.card import DirectionCard, ModelCard
from model_store.catalogue import Catalogue
from tests.support.models.tiny_onnx import write_onnx
from tests.support.recipes import encode, performed
from workers.bench import Bench
from workers.steps.recipe_events import Finding, Product


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator with classes and an encoder, and the same without its encoder."""
    folder = tmp_path_factory.mktemp("models")
    write_onnx(folder, "closed")
    write_onnx(folder / "other", "plain", encoder=False)
    return folder


@pytest.fixture
def bench(models: Path) -> Bench:
    return Bench(Catalogue([models]), threads=1)


def products(request: Any, bench: Bench, direction: DirectionCard | None = None) -> list[Product]:
    events = performed(request, bench, direction)
    return [event for event in events if isinstance(event, Product)]


def arrays(request: Any, bench: Bench, direction: DirectionCard | None = None) -> list[np.ndarray]:
    return [np.asarray(product.volume.array) for product in products(request, bench, direction)]


def test_seeds_classes_and_truncation_make_volumes(bench: Bench, models: Path) -> None:
    def made(**fields: Any) -> list[np.ndarray]:
        return arrays(GenerateRequest(model="closed", **fields), bench)

    pair = made(seed=4, num_samples=2, class_label="a")
    assert np.array_equal(pair[1], made(seed=5, class_label="a")[0])
    assert np.array_equal(pair[0], arrays(GenerateRequest(model="closed", seed=4, class_label=0), anew(models))[0])
    assert not np.array_equal(pair[0], made(seed=4, class_label="b")[0])
    assert not np.array_equal(pair[0], made(seed=4, class_label="a", truncation=0.3)[0])


def anew(models: Path) -> Bench:
    return Bench(Catalogue([models]), threads=1)


def test_a_direction_is_fitted_and_followed_and_latents_are_walked_between(bench: Bench) -> None:
    how = {"method": "regression", "name": "bright", "attribute": "mean", "measure": {"name": "mean_intensity"}}
    fit = FitDirectionRequest.model_validate({"model": "closed", "fit": {**how, "num_samples": 24}})
    (direction,) = (e.direction for e in performed(fit, bench) if isinstance(e, Finding) and e.direction)

    def edit(change: dict[str, Any]) -> list[np.ndarray]:
        body = {"model": "closed", "source": {"seed": 1}, "edit": change, "class_label": 0}
        return arrays(EditRequest.model_validate(body), bench, direction)

    down, up = edit({"op": "move", "direction": "bright", "strengths": [-2, 2]})
    assert down.mean() < up.mean()
    (aimed,) = edit({"op": "target", "direction": "bright", "values": [-200.0], "max_strength": 1e6})
    assert not np.array_equal(aimed, up)
    path = edit({"op": "interpolate", "target": {"seed": 2}, "steps": 3})
    assert np.array_equal(path[2], arrays(GenerateRequest(model="closed", seed=2, class_label=0), bench)[0])


def test_a_sample_is_encoded_back(bench: Bench) -> None:
    request = EncodeRequest.model_validate(
        {"model": "closed", "source": {"seed": 3}, "reconstruct": True, "class_label": 0}
    )
    events = list(encode(request, None, bench))
    assert sum(isinstance(event, Product) for event in events) == 2
    (latent,) = (event.latents[0] for event in events if isinstance(event, Finding) and event.latents)
    assert latent.values.shape == (8,)
    assert bool(torch.isfinite(latent.values).all())


def test_without_an_encoder_no_scan_is_encoded(models: Path) -> None:
    card = Catalogue([models / "other"]).card("plain")
    assert isinstance(card, ModelCard)
    assert card.verbs == ("generate", "edit")
    with pytest.raises(VerbNotSupported, match="can generate and edit, not encode"):
        EncodeRequest.model_validate({"model": "plain", "source": {"seed": 1}}).check(card)


def test_a_job_that_cannot_fit_is_refused_by_the_dry_runs_figure(models: Path) -> None:
    small = Bench(Catalogue([models]), threads=1, limit_bytes=100 * 2**20)
    with pytest.raises(MemoryLimit):
        small.require_memory(GenerateRequest(model="closed", seed=1, class_label=0))
    anew(models).require_memory(GenerateRequest(model="closed", seed=1, class_label=0))
