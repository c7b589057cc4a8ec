"""jobs, du and doctor: what is there, without a picture; and tables that cut no word."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.models.tiny_models import write_tiny_hagan
from voxelsmith import Client
from voxelsmith.cli import app
from voxelsmith.commands.told.record_report import asked, figures
from voxelsmith.commands.told.report import span_text
from voxelsmith.commands.told.table_layout import laid_out
from voxelsmith.local import Stack


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="voxelsmith")


@pytest.mark.parametrize("way", ["server", "data"])
def test_jobs_are_listed_shown_cancelled_and_removed(stack: Stack, way: str) -> None:
    where = ("--server", stack.url) if way == "server" else ("--data", stack.data)
    with Client(stack.url) as client:
        made = client.generate(model="tiny", seed=7, num_samples=2).wait()
        long = client.generate(model="tiny", seed=1, num_samples=64)
    listed = json.loads(run("jobs", "list", *where, "--limit", 2, "--json").stdout)
    assert [record["id"] for record in listed] == [long.id, made.id]
    table = run("jobs", "list", *where).stdout
    assert made.id in table
    assert "generate tiny" in table
    shown = run("jobs", "show", made.id, *where).stdout
    assert "seed 7" in shown
    assert "000.nii.gz" in shown
    assert "{" not in shown
    refused = run("jobs", "remove", long.id, "--yes", *where)
    assert (refused.exit_code, refused.stderr.count("\n")) in {(0, 0), (1, 1)}  # it may have ended meanwhile
    if refused.exit_code:
        assert run("jobs", "cancel", long.id, *where).exit_code == 0
        with Client(stack.url) as client:
            client.job(long.id).wait()
        assert run("jobs", "remove", long.id, "--yes", *where).exit_code == 0
    assert run("jobs", "remove", made.id, *where, "--yes").stdout == f"removed {made.id}\n"
    gone = run("jobs", "show", made.id, *where)
    assert (gone.exit_code, gone.stderr.count("\n")) == (1, 1)


def test_removal_asks_first(stack: Stack) -> None:
    with Client(stack.url) as client:
        job = client.generate(model="tiny", seed=7).wait()
        refused = CliRunner().invoke(app, ["jobs", "remove", job.id, "--server", stack.url], input="n\n")
        assert refused.exit_code != 0
        assert client.job(job.id).state == "succeeded"
        job.remove()


def test_du_tells_what_each_part_and_each_job_takes(tmp_path: Path) -> None:
    for job, size in (("a" * 32, 1000), ("b" * 32, 3000)):
        folder = tmp_path / "store" / "results" / job
        folder.mkdir(parents=True)
        (folder / "000.nii.gz").write_bytes(bytes(size))
    told = json.loads(run("du", "--data", tmp_path, "--top", 1, "--json").stdout)
    assert told["largest_jobs"] == [{"job": "b" * 32, "size_bytes": 3000}]
    assert {part["what"]: part["size_bytes"] for part in told["parts"]}["results"] == 4000
    assert "3 kB" in run("du", "--data", tmp_path).stdout


def test_doctor_measures_a_model_and_says_what_is_there(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path / "models", "tiny")
    words = ("--models", tmp_path / "models", "doctor", "--data", tmp_path / "data", "--threads", 1, "--model", "tiny")
    result = run(*words, "--json")
    told = json.loads(result.stdout)
    assert told["speed"]["shape"] == [32, 32, 32]
    assert told["speed"]["volume_s"] > 0
    about = {finding["about"] for finding in told["findings"]}
    assert {"voxelsmith", "libraries", "queue", "processor", "memory", "models", "speed"} <= about
    assert not (tmp_path / "data").exists()


def test_doctor_exits_1_where_a_model_is_broken(tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "card.json").write_text("{")
    result = run("--models", tmp_path, "doctor", "--quick")
    assert result.exit_code == 1
    assert "trouble: model torn: broken" in result.stdout


def test_a_table_fits_a_terminal_and_cuts_no_word() -> None:
    rows = [["a" * 32, "made of several words that can go below one another", "x" * 20], ["b", "c", "d"]]
    lines = list(laid_out(["file", "what", "size"], rows, 72))
    assert max(map(len, lines)) <= 72
    assert any("a" * 32 in line for line in lines)
    assert any("x" * 20 in line for line in lines)
    assert list(laid_out(["file", "what", "size"], rows))[1].count("  ") == 2


def test_figures_are_rounded_with_units_and_nothing_is_a_dictionary() -> None:
    scan = {"psnr": 20.123456, "ssim": 0.71234, "mae": 12.3456}
    metrics = {**scan, "mae_units": "HU", "scan_grid": {**scan, "psnr": None}, "refine_terms": {"l1": 0.1}}
    metrics |= {"refine_loss": [0.5 - k / 100 for k in range(21)], "refine_steps": 20, "window": [-1024.0, 600.0]}
    assert list(figures(metrics)) == [
        "likeness on the model's grid: PSNR 20.1 dB, SSIM 0.71, MAE 12.3 HU",
        "likeness on the scan's grid: PSNR infinite, SSIM 0.71, MAE 12.3 HU",
        "descent: 20 steps, loss 0.5 to 0.3",
        "window: -1024 to 600 of the scan's values",
    ]
    assert asked({"model": "m", "edit": {"op": "move", "strengths": [1.0, 2.0]}, "seeds": None}) == (
        "op move, strengths 1,2"
    )
    assert [span_text(span) for span in (0.4242, 42.4, 240, 7200, 864000)] == ["0.42 s", "42 s", "4 min", "2 h", "10 d"]
