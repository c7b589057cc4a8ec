"""evaluation.json of a model's folder: shown of exactly these weights, and never a reason not to serve them."""

from pathlib import Path

import pytest

from model_store.catalogue import Catalogue
from model_store.last_evaluation import EVALUATION, LastEvaluation, Measured
from tests.support.models.tiny_models import write_tiny_hagan


def judged(sha256: str) -> LastEvaluation:
    return LastEvaluation(
        model_sha256=sha256,
        software_version="1",
        seed=0,
        truncation=None,
        reference=10,
        generated=20,
        train=None,
        features="random",
        features_sha256="0",
        measures={"fid": Measured(value=1.5, floor=0.5), "coverage": Measured(value=None, reason="too few")},
    )


def test_an_evaluation_of_these_weights_is_read_and_one_written_later_too(tmp_path: Path) -> None:
    card = write_tiny_hagan(tmp_path, "tiny")
    catalogue = Catalogue([tmp_path])
    assert catalogue.evaluations() == {}
    (tmp_path / "tiny" / EVALUATION).write_text(judged(card.sha256).model_dump_json())
    assert catalogue.evaluations() == {"tiny": judged(card.sha256)}


@pytest.mark.parametrize("content", ["", "[]", '{"fid": 1}', "x" * 70_000, judged("f" * 64).model_dump_json()])
def test_one_of_other_weights_or_damaged_is_none_and_the_model_is_served(tmp_path: Path, content: str) -> None:
    write_tiny_hagan(tmp_path, "tiny")
    (tmp_path / "tiny" / EVALUATION).write_text(content)
    catalogue = Catalogue([tmp_path])
    assert catalogue.evaluations() == {}
    assert [card.name for card in catalogue.cards()] == ["tiny"]
