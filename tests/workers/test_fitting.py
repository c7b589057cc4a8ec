"""What a fitted direction says of how it was found, on a tiny model with a style space."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contract.requests import EditRequest, FitDirectionRequest
from latents.ridge import RIDGES
from model_store.card import DirectionCard
from model_store.catalogue import Catalogue
from tests.support.models.tiny_stylegan import write_stylegan
from tests.support.recipes import performed
from workers.bench import Bench
from workers.steps.recipe_events import Finding, Product


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    write_stylegan(tmp_path, "tiny")
    return Bench(Catalogue([tmp_path]), threads=1)


def fitted(bench: Bench, fit: dict[str, Any]) -> DirectionCard:
    events = performed(FitDirectionRequest.model_validate({"model": "tiny", "fit": fit}), bench)
    (found,) = (event.direction for event in events if isinstance(event, Finding) and event.direction)
    return found


def test_a_direction_says_how_it_was_found(bench: Bench) -> None:
    """Samples of one subject are kept together: here they are the same, so that none predicts its own copy."""
    sources = [{"seed": k // 3} for k in range(12)]
    samples = [{"source": source, "value": float(k % 7 + 1), "group": k // 3} for k, source in enumerate(sources)]
    fit = {"method": "regression", "name": "d", "attribute": "a", "samples": samples}
    grouped = fitted(bench, {**fit, "transform": "log", "ridge": "cross-validation"})
    assert (grouped.groups, grouped.transform) == (4, "log")
    assert grouped.ridge in RIDGES
    plain = fitted(bench, {**fit, "samples": [{**sample, "group": None} for sample in samples]})
    assert (plain.groups, plain.transform, plain.ridge) == (None, "none", 1e-4)
    change = {"op": "target", "direction": "d", "values": [3.0], "max_strength": 1e9}
    edit = EditRequest.model_validate({"model": "tiny", "source": {"seed": 1}, "edit": change})
    (product,) = (event for event in performed(edit, bench, grouped) if isinstance(event, Product))
    assert product.latent is not None
    along = float(product.latent.values.double().mean(0) @ torch.tensor(grouped.vector).double())
    assert np.exp(grouped.slope * along + grouped.intercept) == pytest.approx(3.0, rel=1e-3)


def test_sefa_with_rows_of_length_1_is_another_direction_and_says_so(bench: Bench) -> None:
    fit = {"method": "sefa", "name_prefix": "free", "count": 1}
    plain, scaled = (fitted(bench, {**fit, "unit_rows": unit}) for unit in (False, True))
    assert (plain.unit_rows, scaled.unit_rows) == (False, True)
    assert abs(np.dot(plain.vector, scaled.vector)) < 0.9999
