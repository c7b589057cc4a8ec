"""voxelsmith translate in this process, and Client.translate against the whole service."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from jobs.settings import Settings
from tests.support.models.tiny_megan import write_megan
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.ready import await_ready
from voxelsmith import Client, problems
from voxelsmith.cli import app
from voxelsmith.local import Stack

AFFINE = np.array([[-2.0, 0, 0, 60], [0, 0, 3.0, -20], [0, 2.5, 0, 5], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_megan(folder, "painter")
    write_tiny_hagan(folder, "tiny")
    return folder


@pytest.fixture
def run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("VOXELSMITH_THREADS", "1")

    def invoke(*args: object) -> Result:
        words = ["--models", str(models), *(str(arg) for arg in args)]
        return CliRunner().invoke(app, words, prog_name="voxelsmith")

    return invoke


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    x, y, z = np.ogrid[:40, :36, :33]
    ball = ((x - 20) ** 2 + (y - 17) ** 2 + (z - 15) ** 2 < 150).astype(np.int16) * 500
    path = tmp_path / "scan.nii.gz"
    nibabel.Nifti1Image(ball, AFFINE).to_filename(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    labels = np.zeros((40, 36, 33), dtype=np.uint8)
    labels[16:24, 14:20, 12:18] = 3
    path = tmp_path / "mask.nii.gz"
    nibabel.Nifti1Image(labels, AFFINE).to_filename(path)
    return path


def test_translate_writes_one_volume_on_the_scans_grid(run: Callable[..., Result], scan: Path, tmp_path: Path) -> None:
    result = run("translate", scan, "--model", "painter", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert (record["state"], record["kind"], record["volumes"]) == ("succeeded", "translate", 1)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "translated.nii.gz",
        "translated.png",
        "provenance.json",
    }
    image = nibabel.load(tmp_path / "out" / "translated.nii.gz")
    assert image.shape == (40, 36, 33)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)


def test_its_options_are_the_fields_of_the_call(
    run: Callable[..., Result], scan: Path, mask: Path, tmp_path: Path
) -> None:
    options = ["--grid", "scan", "--mask", mask, "--edges-given", "--dtype", "float32", "--no-preview"]
    edges = tmp_path / "edges.nii.gz"
    nibabel.Nifti1Image((np.asarray(nibabel.load(scan).dataobj) // 2).astype(np.uint8), AFFINE).to_filename(edges)
    result = run("translate", edges, "--model", "painter", "--out", tmp_path / "out", *options, "--json")
    assert result.exit_code == 0, result.output
    asked = json.loads(result.stdout)["request"]
    assert (asked["edges"], asked["grid"], asked["output"]["dtype"]) == ("given", "scan", "float32")
    again = run("replay", tmp_path / "out" / "provenance.json", "--scan", edges, "--out", tmp_path / "again")
    assert again.exit_code == 2
    assert "--mask" in again.output
    files = ["--scan", edges, "--mask", mask]
    again = run("replay", tmp_path / "out" / "provenance.json", *files, "--out", tmp_path / "again", "--json")
    assert again.exit_code == 0, again.output
    assert [entry["identical"] for entry in json.loads(again.stdout)] == [True]


def test_wrong_use_is_told_in_one_line(run: Callable[..., Result], scan: Path, mask: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat.nii.gz"
    nibabel.Nifti1Image(np.ones((40, 40, 40), np.uint8), np.eye(4)).to_filename(flat)
    for arguments, code, word in (
        ((scan, "--model", "tiny"), 2, "can generate, encode and edit"),
        ((scan, "--model", "nobody"), 1, "no model of that name"),
        (("--model", "painter"), 2, "either SCAN or --from-job"),
        (("--model", "painter", "--from-job", "x", "--mask", mask), 2, "--mask goes with SCAN"),
        ((flat, "--model", "painter"), 1, "no edges"),
        ((scan, "--model", "painter", "--mask", flat), 1, "scan's grid"),
        ((scan, "--model", "painter", "--edges-given"), 1, "from 0 to 255"),
    ):
        result = run("translate", *arguments, "--out", tmp_path / "out")
        assert result.exit_code == code, result.output
        assert word in " ".join(result.output.replace("│", " ").split())
    result = run("generate", "--model", "painter", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "translate" in result.output


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(models_url=str(models), port=0, threads=1)
    with Stack(tmp_path_factory.mktemp("stack") / "data", settings) as running:
        await_ready(running.url)
        yield running


def test_the_client_translates_a_scan_and_the_result_of_that(server: Stack, scan: Path, mask: Path) -> None:
    with Client(server.url) as client:
        job = client.translate(scan, model="painter", mask=mask, grid="scan", wait_s=60)
        job.wait()
        image = job.volume(0)
        assert image.shape == (40, 36, 33)
        np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
        again = client.translate(model="painter", source={"job": job.id}, edges="given", output={"format": "nii"})
        again.wait()
        assert again.volume(0).shape == (40, 36, 33)
        stages = {key for key in job.record["timings_s"] if key.startswith(("edges", "scale"))}
        assert stages == {"edges", "scale 1/2", "scale 2/2"}


def test_a_scan_without_edges_fails_with_that_reason(server: Stack, tmp_path: Path) -> None:
    flat = tmp_path / "flat.nii.gz"
    nibabel.Nifti1Image(np.full((40, 40, 40), 9, np.int16), np.eye(4)).to_filename(flat)
    with Client(server.url) as client:
        job = client.translate(flat, model="painter")
        with pytest.raises(problems.JobFailed, match="no edges"):
            job.wait()
        record: dict[str, Any] = client.fetch_record(job.id)
        assert (record["error"]["code"], record["results"]) == ("unreadable_volume", [])
        with pytest.raises(ValueError, match="either a scan file or a source"):
            client.translate(model="painter")
