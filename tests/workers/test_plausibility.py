"""Warnings: of what may not mean what its user takes it for, and of nothing else."""

from pathlib import Path

import numpy as np
import pytest

from contract.errors import InvalidRequest
from contract.requests import EditRequest, EncodeRequest
from model_store.card import DirectionCard, ModelCard
from model_store.catalogue import Catalogue
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.recipes import encode, performed
from volumes.volume import Volume
from workers.bench import Bench
from workers.steps.plausibility import FAR, TOO_FAR
from workers.steps.recipe_events import Finding, Product


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def card(folder: Path) -> ModelCard:
    return write_tiny_hagan(folder, "tiny")


@pytest.fixture(scope="module")
def bench(folder: Path, card: ModelCard) -> Bench:
    return Bench(Catalogue([folder]), threads=1)


def along(card: ModelCard, r2: float = 0.9) -> DirectionCard:
    vector = [1.0] + [0.0] * (card.latent.z_dim - 1)
    fields = {"name": "d", "method": "regression", "vector": vector, "std": 1.0, "model_sha256": card.sha256}
    return DirectionCard.model_validate({**fields, "slope": 1.0, "intercept": 0.0, "r2": r2, "attribute": "a"})


def edit(card: ModelCard, **change: object) -> EditRequest:
    source = {"latent": [0.0] * card.latent.z_dim, "space": "z"}
    return EditRequest.model_validate({"model": "tiny", "source": source, "edit": {"direction": "d", **change}})


def warnings_of(events: object) -> list[str]:
    return [text for event in events if isinstance(event, Finding) for text in event.warnings]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("strength", "is_far"), [(3.0, False), (-FAR - 1, True), (FAR + 40, True)])
def test_a_far_move_is_made_with_a_warning(bench: Bench, card: ModelCard, strength: float, is_far: bool) -> None:
    said = warnings_of(performed(edit(card, op="move", strengths=[0.0, strength]), bench, along(card)))
    assert [f"{abs(strength):.1f} standard deviations" in text for text in said] == [True] * is_far


def test_a_target_out_of_reach_is_refused_unless_asked_for(bench: Bench, card: ModelCard) -> None:
    far = TOO_FAR + 1
    with pytest.raises(InvalidRequest) as caught:
        list(performed(edit(card, op="target", values=[1.0, far]), bench, along(card)))
    assert caught.value.errors[0][0] == "/edit/values/1"
    asked = list(performed(edit(card, op="target", values=[far], max_strength=far + 1), bench, along(card)))
    assert sum(isinstance(event, Product) for event in asked) == 1
    assert len(warnings_of(asked)) == 1


@pytest.mark.parametrize(("r2", "is_poor"), [(0.9, False), (0.05, True), (-0.25, True)])
def test_a_direction_that_explains_little_says_so(bench: Bench, card: ModelCard, r2: float, is_poor: bool) -> None:
    said = warnings_of(performed(edit(card, op="move", strengths=[1.0]), bench, along(card, r2)))
    assert [f"{r2:.2f}" in text for text in said] == [True] * is_poor


def scan_of(card: ModelCard, low: float, high: float, scale: float = 1.0) -> Volume:
    values = np.random.default_rng(0).uniform(low, high, (20, 24, 22)).astype(np.float32)
    wanted = np.array(card.shape) * np.array(card.spacing_mm)
    return Volume(values, np.diag([*(scale * wanted[0] / np.array(values.shape)), 1.0]))


@pytest.mark.parametrize(
    ("low", "scale", "said"),
    [(-1000, 1.0, []), (0, 1.0, ["air"]), (-1000, 0.3, ["another part"]), (0, 3.0, ["air", "another part"])],
)
def test_a_scan_of_another_kind_is_encoded_with_a_warning(
    bench: Bench, card: ModelCard, low: float, scale: float, said: list[str]
) -> None:
    found = warnings_of(encode(EncodeRequest(model="tiny"), scan_of(card, low, 300, scale), bench))
    assert len(found) == len(said)
    assert all(word in text for word, text in zip(said, found, strict=True))


def test_a_reconstruction_unlike_its_scan_says_so(bench: Bench, card: ModelCard) -> None:
    found = warnings_of(encode(EncodeRequest(model="tiny", reconstruct=True), scan_of(card, -1000, 300), bench))
    assert len(found) == 1, "a tiny random network makes nothing like its scan"
    assert "SSIM" in found[0]
