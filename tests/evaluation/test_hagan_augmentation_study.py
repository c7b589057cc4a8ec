"""The study of HA-GAN's table V: its classifier and its figures, and the whole of it in tiny."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evaluation.studies.augmentation import GENERATED, MORE, REAL, gain, labels_as, rows, table
from evaluation.studies.classifier import accuracy, fitted
from voxelsmith.cli import app

TINY = ["--real", 8, "--test-phantoms", 4, "--seeds", 2, "--epochs", 1, "--latent-dim", 4, "--iterations", 2,
        "--batch-size", 1]  # fmt: skip


@pytest.mark.slow
def test_a_classifier_learns_what_can_be_seen_and_is_the_same_again() -> None:
    labels = np.arange(8) % 2
    volumes = np.random.default_rng(0).random((8, 32, 32, 32)).astype(np.float16) * np.float16(0.5)
    volumes[labels == 1, 8:24] += np.float16(0.5)
    network = fitted(volumes, labels, 2, 0, "cpu", epochs=8)
    assert accuracy(network, volumes, labels, "cpu") == 1
    assert accuracy(network, volumes, 1 - labels, "cpu") == 0
    again = fitted(volumes, labels, 2, 0, "cpu", epochs=8)
    kept, new = network.state_dict(), again.state_dict()
    assert all(np.array_equal(kept[key], new[key]) for key in kept)


def test_generated_labels_are_as_frequent_as_real_ones() -> None:
    real = np.array([3, 0, 0, 1, 0, 0, 1, 0])
    assert labels_as(real, 8).tolist() == sorted(real)
    assert labels_as(real, 4).tolist() == [0, 0, 1, 3]
    assert labels_as(real, 16).tolist() == sorted([*real, *real])


def test_a_gain_is_of_pairs_and_has_its_interval() -> None:
    middle, low, high = gain([0.5, 0.7, 0.6], [0.6, 0.8, 0.7]) or (0, 0, 0)
    assert (middle, low, high) == pytest.approx((0.1, 0.1, 0.1))
    middle, low, high = gain([0.5, 0.5], [0.5, 0.7]) or (0, 0, 0)
    assert (middle, low, high) == pytest.approx(
        (0.1, 0.1 - 12.706 * 0.1, 0.1 + 12.706 * 0.1), abs=1e-3
    )  # t of 1 degree
    assert gain([0.5], [0.6]) is None


def test_the_table_stands_beside_the_papers() -> None:
    told = table(rows({REAL: [0.5, 0.6], GENERATED: [0.55, 0.65], MORE: [0.7, 0.8]}))
    assert "| real alone | 55.0 | 50.0 to 60.0 | | 59.7 |" in told
    assert "| and generated | 60.0 | 55.0 to 65.0 | +5.0 [+5.0, +5.0] | 62.9 |" in told


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
def test_the_study_trains_classifies_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("study", "augmentation", "--out", out, *TINY).startswith("| trained on |")
    report = json.loads((out / "report.json").read_text())
    assert [row["method"] for row in report["rows"]] == [REAL, GENERATED, MORE]
    assert [row["paper"] for row in report["rows"]] == [59.7, 62.9, None]
    assert all(len(row["accuracies"]) == 2 for row in report["rows"])
    assert report["added"] == 2
    assert str(tmp_path) not in json.dumps(report)
    run("study", "augmentation", "--out", out, *TINY)
    assert json.loads((out / "report.json").read_text()) == report
