"""The study of HA-GAN's tables VII and IX: its figures, thicker sub-volumes, and the whole of it in tiny."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from evaluation.studies.memory import MIB, Row, table
from voxelsmith.cli import app
from voxelsmith.studies.memory_child import counted, trainer_of

SETTINGS = {"size": 32, "width": 8, "latent_dim": 4, "batch_size": 1}


def test_the_tables_stand_beside_the_papers() -> None:
    sizes = {64: 100, 256: 300}
    rows = [Row("train", size, 8, 10**6, mib * MIB, 500 * MIB, (500 + mib) * MIB, 2.0) for size, mib in sizes.items()]
    rows += [Row("train", 256, 4, 10**6, 600 * MIB, None, None, None)]
    rows += [Row("generate", 64, 8, 10**6, None, 500 * MIB, 550 * MIB, 0.25)]
    told = table(rows)
    assert "| train | 64^3 | 1/8 | 1.0M | 100 | 1.00 | 600 | 100 | 1.00 | 2 | 2665 | 1.00 |" in told
    assert "| train | 256^3 | 1/8 | 1.0M | 300 | 3.00 | 800 | 300 | 3.00 | 2 | 5961 | 2.24 |" in told
    assert "| train | 256^3 | 1/4 | 1.0M | 600 | 2.00 | | | | | 10689 | 1.79 |" in told
    assert "| generate | 64^3 | 1/8 | 1.0M | | | 550 | 50 | 1.00 | 0.25 | | |" in told


@pytest.mark.slow
@pytest.mark.parametrize("slabs", [4, 2])
def test_networks_learn_from_thicker_sub_volumes_too(slabs: int) -> None:
    trainer = trainer_of(slabs, SETTINGS)
    starts = {trainer.chance(iteration, 1).start for iteration in range(200)}
    assert max(starts) == 32 - 32 // slabs
    losses = trainer.step(torch.zeros(1, 1, 32, 32, 32), None)
    assert all(bool(loss.isfinite()) for loss in losses.values())


@pytest.mark.slow
def test_thicker_sub_volumes_take_more_memory_and_no_other_networks() -> None:
    settings = SETTINGS | {"size": 64, "batch_size": 4}
    thin, thick = (counted(slabs, settings) for slabs in (8, 2))
    assert thin["parameters"] == thick["parameters"]
    assert thick["counted_bytes"] > 1.15 * thin["counted_bytes"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_study_measures_and_asks_nothing_twice(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["study", "memory", "--out", str(out), "--size", "32", "--slabs-at", "32", "--width", "8", "--latent-dim",
             "4", "--batch-size", "1"]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    report = json.loads((out / "report.json").read_text())
    rows = {(row["what"], row["size"], row["slabs"]): row for row in report["rows"]}
    by_edge = {("train", size, 8) for size in (32, 64, 128, 256)}
    by_share = {("train", size, slabs) for size in (32, 256) for slabs in (4, 2)}
    assert set(rows) == by_edge | by_share | {("generate", 32, 8)}
    measured = [row for row in rows.values() if row["peak_bytes"] is not None]
    assert len(measured) == 4
    assert all(row["peak_bytes"] > row["began_bytes"] > 2**27 for row in measured)
    assert rows["train", 256, 8]["counted_bytes"] > rows["train", 32, 8]["counted_bytes"]
    assert rows["train", 256, 4]["paper_mb"] == 10689
    assert str(tmp_path) not in json.dumps(report)
    answered = (out / "measured.json").stat().st_mtime_ns
    CliRunner().invoke(app, words)
    assert json.loads((out / "report.json").read_text()) == report
    assert (out / "measured.json").stat().st_mtime_ns == answered


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["memory", "--size", "33", "--width", "8", "--latent-dim", "4", "--batch-size", "1"],
            "--size: Input should be 32, 64, 128 or 256",
        ),
        (["memory", "--slabs-at", "31"], "'31' is not one of"),
        (["memory", "--precision", "tf32"], "it needs --device cuda:N"),
        (["augmentation", "--precision", "half"], "'half' is not one of"),
        (["regression", "--size", "33"], "'33' is not one of"),
        (["regression", "--device", "cuda:999"], "there is no cuda:999 on this machine"),
    ],
)
def test_networks_that_cannot_be_are_wrong_use(tmp_path: Path, words: list[str], sentence: str) -> None:
    done = CliRunner().invoke(app, ["study", *words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())
