"""The study of HA-GAN's table VI and figures 4 and 5: its measures on what is known, and the whole of it in tiny."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from evaluation.studies import regression, tissues, walks
from model_store.card import IntensitySpec
from tests.support.models.tiny_models import write_tiny_hagan
from voxelsmith.cli import app

TINY = ["--phantoms", 10, "--test-phantoms", 3, "--starts", 1, "--size", 32, "--latent-dim", 4, "--iterations", 2,
        "--batch-size", 1]  # fmt: skip


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features, of which the last never varies, and what three of them make."""
    x = np.random.default_rng(seed).standard_normal((count, 6))
    x[:, 5] = 7.0
    return x, x[:, :3] @ [1.0, -2.0, 0.5] + 4


def test_what_features_hold_is_read_and_what_they_lack_is_not() -> None:
    fit, test = drawn(60, 0), drawn(40, 1)
    row = regression.judged("all", "known", fit, test, 0)
    assert row.size == 6
    assert row.r2 == pytest.approx(1, abs=1e-6)
    assert row.interval[0] <= row.r2_chosen <= row.interval[1] <= 1
    scaled = [(side[0] * [1, 1e4, 1, 1, 1e-3, 1], side[1]) for side in (fit, test)]
    assert regression.judged("scaled", "known", scaled[0], scaled[1], 0).r2_chosen == pytest.approx(row.r2_chosen)
    blind = [(side[0][:, 3:], side[1]) for side in (fit, test)]
    missed = regression.judged("blind", "known", blind[0], blind[1], 0)
    assert missed.r2_chosen < 0.1
    assert missed.ridge > row.ridge


def test_r2_is_0_for_the_mean_and_below_for_worse() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert regression.r2_of(truth, np.full(3, 2.0)) == 0
    assert regression.r2_of(truth, truth[::-1]) == -3


def test_the_table_stands_beside_the_papers() -> None:
    rows = [regression.Row("z", 64, name, 0.5, 0.6, 1.0, (0.4, 0.7)) for name in regression.ATTRIBUTES]
    told = regression.table(rows)
    assert "| z | 64 | 0.500 | 0.600 [0.40, 0.70] | 0.500" in told
    assert "| HA-GAN | 0.555 | 0.657 | 0.746 |" in told


def test_lung_is_the_air_inside_and_bone_what_is_dense() -> None:
    hu = np.full((20, 18, 16), -1000, np.float32)
    hu[3:17, 3:15, :14] = 40  # a body from the volume's bottom nearly to its top
    hu[5:8, 5:8, :4] = -850  # cut by the volume's lower end, as a lung may be
    hu[5, 5, 4:14] = -850  # with air above it
    hu[10:12, 10:12, 10:12] = 700
    spacing = (1.0, 2.0, 5.0)
    assert tissues.lung_ml(hu, spacing) == pytest.approx(46 * 0.01)
    assert tissues.bone_ml(hu, spacing) == pytest.approx(8 * 0.01)
    hu[:6, 6, 1] = -900  # a way out of one slice
    assert tissues.lung_ml(hu, spacing) == pytest.approx(37 * 0.01)


def test_a_walk_that_meets_its_targets_has_slope_1() -> None:
    stops = np.linspace(10, 40, 4)
    met, still = stops + np.array([[3.0], [-5.0]]), np.full((2, 4), 7.0)
    walk = walks.Walk("lung", "ml", 0.9, stops, {"lung": met, "bone": still})
    assert [walk.spearman, walk.slope("lung"), walk.slope("bone")] == pytest.approx([1, 1, 0])
    assert walks.Walk("bone", "ml", 0.9, stops, {"lung": met, "bone": still}).spearman == 0
    other = walks.Walk("bone", "deviations", None, stops, {"lung": met, "bone": still - stops})
    told = walks.table([walk, other])
    assert "| lung | 0.90 | 10 to 40 ml | 9 to 39 | 1.00 | 1.00 | 0.00 |" in told
    assert "| bone | - | 10.0 to 40.0 deviations | -3 to -33 | -1.00 | 1.00 | -1.00 |" in told


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
def test_the_study_trains_measures_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("study", "regression", "--out", out, *TINY).startswith("| features | numbers |")
    report = json.loads((out / "report.json").read_text())
    assert {row["features"] for row in report["rows"]} == {
        "HA-GAN's encoder", "HA-GAN's encoder after 1 iteration", "random", "distortion",
    }  # fmt: skip
    assert [walk["tissue"] for walk in report["walks"]] == ["lung", "lung", "bone", "bone"]
    assert {name: len(points) for name, points in report["figure_4"]["points"].items()} == {
        "reference": 3, "generated": 3,
    }  # fmt: skip
    assert report["measures"]["lung"]["measured_mean"] == pytest.approx(
        report["measures"]["lung"]["truth_mean"], rel=0.1
    )
    assert str(tmp_path) not in json.dumps(report)
    assert "<circle" in (out / "figure-4.html").read_text()
    assert (out / "figure-5.png").read_bytes()[:4] == b"\x89PNG"
    run("study", "regression", "--out", out, *TINY)
    assert json.loads((out / "report.json").read_text()) == report


@pytest.mark.slow
def test_a_model_that_is_there_is_asked(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path / "models", "tiny")
    words = [
        "--models",
        tmp_path / "models",
        "study",
        "regression",
        "--out",
        tmp_path / "out",
        *TINY,
        "--model",
        "tiny",
    ]
    run(*words)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["model"]["name"] == "tiny"
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"encoder": False}, "encode"),
        ({"classes": ["a", "b"]}, "take a model without classes"),
        ({"intensity": IntensitySpec(low=0.0, high=1000.0, units="a.u.")}, "take a model of CT"),
    ],
)
def test_a_model_of_which_the_study_cannot_ask_all_is_refused(
    tmp_path: Path, fields: dict[str, Any], sentence: str
) -> None:
    write_tiny_hagan(tmp_path / "models", "tiny", **fields)
    words = ["--models", tmp_path / "models", "study", "regression", "--out", tmp_path / "out", "--model", "tiny"]
    refused = CliRunner().invoke(app, [str(word) for word in words])
    assert refused.exit_code == 1
    assert sentence in refused.stderr
    assert not any((tmp_path / "out").iterdir())
