"""The study of weight inflation: distances of central slices, and the whole of it in tiny."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evaluation.studies.slices import PLANES, apart, slice_features
from voxelsmith.cli import app

TINY = ["--phantoms", 2, "--test-phantoms", 4, "--num-samples", 2, "--side", 8, "--channels", 2, "--pretrain-2d", 1,
        "--iterations", 2, "--batch-size", 1]  # fmt: skip


def test_slices_are_held_against_each_other_plane_by_plane() -> None:
    random = np.random.default_rng(0)
    volumes = [random.random((8, 6, 10), dtype=np.float32) for _ in range(3)]
    found = slice_features(volumes)
    assert {plane: rows.shape for plane, rows in found.items()} == dict.fromkeys(PLANES, (3, 624))
    same = apart(found, found)
    assert same.mean == pytest.approx(0, abs=1e-6)
    brighter = [volume.copy() for volume in volumes]
    for volume in brighter:
        volume[:, :, 5] = 1  # the central axial slice, of which each other plane sees one line
    moved = apart(found, slice_features(brighter))
    assert moved.axial > 3 * max(moved.sagittal, moved.coronal) > 0


@pytest.mark.slow
def test_the_study_trains_each_start_and_goes_on(tmp_path: Path) -> None:
    words = [str(word) for word in ("study", "inflation", "--out", tmp_path / "out", *TINY)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    rows = [(row["start"], row["iterations"]) for row in report["rows"]]
    assert rows == [("none", 1), ("none", 2), ("inflate-1", 1), ("inflate-1", 2)]
    assert report["rows"][2]["paper_best"] == 73.0
    assert str(tmp_path) not in json.dumps(report)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("checkpoint.pt")}
    assert CliRunner().invoke(app, words).exit_code == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert {path: path.stat().st_mtime_ns for path in times} == times
    refused = CliRunner().invoke(app, ["study", "inflation", "--out", str(tmp_path / "other"), "--side", "24"])
    assert refused.exit_code != 0
