"""The study of truncation: its measures on what has one right answer, and the whole of it in tiny."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evaluation.studies.damage import KINDS
from evaluation.studies.truncation import GRADES, attributes, damaged, graded, levels_of, mixed, truncated
from model_store.card import TruncationSpec
from model_store.features.random_network import RandomNetwork
from model_store.load import load
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.models.tiny_stylegan import write_stylegan
from voxelsmith.cli import app

TINY = ["--num-samples", 10, "--pairs", 2, "--phantoms", 20, "--reference-phantoms", 8]


def test_a_set_that_shrinks_to_its_middle_gains_precision_and_loses_recall() -> None:
    random = np.random.default_rng(0)
    reference, made = random.normal(size=(2, 60, 4))
    rows = [truncated(level, reference, made * level) for level in (1.0, 0.5, 0.1)]
    assert [row.precision for row in rows] == sorted(row.precision for row in rows)
    assert [row.recall for row in rows] == sorted((row.recall for row in rows), reverse=True)
    assert rows[2].fid > rows[0].fid


def test_the_levels_are_the_papers() -> None:
    assert {1.0, 0.8} < set(levels_of(TruncationSpec(kind="psi")))
    assert 1.8 in levels_of(TruncationSpec(kind="normal"))


def test_every_kind_and_grade_of_damage_comes_in_turn_and_the_first_grade_is_none() -> None:
    whole = [np.full((8, 8, 8), k / 20, np.float32) for k in range(20)]
    found = list(damaged(whole))
    assert {(kind, grade) for kind, grade, _ in found} == {(kind, grade) for kind in KINDS for grade in GRADES}
    assert all(np.array_equal(unit, whole[k]) for k, (_, grade, unit) in enumerate(found) if grade == 1)


def test_realism_that_falls_with_the_grade_has_a_negative_correlation() -> None:
    random = np.random.default_rng(0)
    reference = [random.random((16, 16, 16), dtype=np.float32) * 0.1 for _ in range(10)]
    worse = [("noise", grade, random.random((16, 16, 16), dtype=np.float32) * 0.1 * grade) for grade in GRADES * 4]
    all_kinds, noise = graded(RandomNetwork(shape=(16, 16, 16)), reference, worse)
    assert (all_kinds.kind, noise.kind) == ("all", "noise")
    assert all_kinds.correlation == noise.correlation < -0.8
    assert noise.medians[1] > noise.medians[5]


def test_with_all_styles_but_none_of_the_target_the_attribute_is_nearly_the_sources(tmp_path: Path) -> None:
    model = load(tmp_path / "tiny", write_stylegan(tmp_path, "tiny"))
    rows = list(mixed(model, 2, 0))
    assert [row.crossover for row in rows] == list(range(1, model.card.latent.num_styles))
    assert set(rows[0].shares) == set(attributes(np.ones((2, 2, 2), np.float32)))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["stylegan", "hagan"])
def test_the_study_writes_what_the_paper_shows(tmp_path: Path, family: str) -> None:
    if family == "stylegan":
        write_stylegan(tmp_path / "models", "tiny")
    else:
        write_tiny_hagan(tmp_path / "models", "tiny")
    words = ["--models", tmp_path / "models", "study", "truncation", "--model", "tiny", "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, [str(word) for word in (*words, *TINY)])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["truncation"]) == (5 if family == "stylegan" else 4)
    assert bool(report["mixing"]) == (family == "stylegan")
    assert [row["name"] for row in report["attributes"]] == ["size", "brightness"]
    assert len(report["realism"]) == 2 * (1 + len(KINDS))
    assert str(tmp_path) not in json.dumps(report)
    assert done.stdout.startswith("| level | FID |")
