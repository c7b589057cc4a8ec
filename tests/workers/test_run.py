"""run: files, manifest and provenance of a job, and that the same job gives the same bytes."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from safetensors.torch import save_file

from contract.errors import (
    InvalidRequest,
    JobCanceled,
    ModelBroken,
    NonFiniteOutput,
    UnknownDirection,
    UnknownModel,
    UnreadableVolume,
)
from contract.state import ResultFile
from model_store.catalogue import Catalogue
from tests.support.models.tiny_models import tiny_weights, write_card, write_tiny_hagan
from volumes.files import read, write
from volumes.volume import Volume
from workers.bench import Bench
from workers.run import replay, run
from workers.writing.folder_sink import FolderSink


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_hagan(folder, "tiny", display_window=(-200.0, 300.0))
    write_tiny_hagan(folder, "classes", classes=("mild", "severe"))
    return folder


@pytest.fixture
def bench(models):
    return Bench(Catalogue([models]), threads=1)


@pytest.fixture
def scan(tmp_path) -> Path:
    """A blob off the centre of a wide, coarse field of view."""
    x, y, z = np.mgrid[:24, :20, :16]
    blob = 800 * np.exp(-((x - 8) ** 2 + (y - 11) ** 2 + (z - 9) ** 2) / 30) - 900
    affine = np.array([[-2.0, 0, 0, 30], [0, 0, 3.0, -20], [0, 4.0, 0, 5], [0, 0, 0, 1]])
    path = tmp_path / "scan.nii.gz"
    write(Volume(blob.astype(np.int16), affine), path, format="nii.gz", window=None, provenance={})
    return path


def _run(kind, body, bench, folder, scan=None, **more):
    return run(kind, {"model": "tiny"} | body, scan, bench, FolderSink(folder), **more)


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_generate_leaves_volumes_previews_latents_and_provenance(bench, tmp_path):
    manifest = _run("generate", {"seed": 3, "num_samples": 2}, bench, tmp_path)
    names = {"000.nii.gz", "001.nii.gz", "000.png", "001.png", "latents.npy", "provenance.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert [entry.name for entry in manifest.results] == ["000.nii.gz", "001.nii.gz"]
    assert {entry.name for entry in manifest.files} == names - {"000.nii.gz", "001.nii.gz"}
    for entry in [*manifest.results, *manifest.files]:
        data = (tmp_path / entry.name).read_bytes()
        assert (entry.size_bytes, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    first, second = manifest.results
    assert (first.index, second.index) == (0, 1)
    assert (first.shape, first.spacing_mm) == ([32, 32, 32], [2.0, 3.0, 4.0])
    assert (first.latent, second.latent) == ({"seed": 3}, {"seed": 4})
    assert (first.preview, first.media_type) == ("000.png", "application/gzip")
    assert np.load(tmp_path / "latents.npy").shape == (2, 8)
    assert manifest.latents is None
    assert {"load", "forward", "write", "total"} <= set(manifest.timings_s)
    parts = sum(spent for name, spent in manifest.timings_s.items() if name != "total")
    assert parts == pytest.approx(manifest.timings_s["total"], abs=1e-3)


def test_nibabel_and_simpleitk_read_the_same_geometry_and_values(bench, tmp_path):
    _run("generate", {"seed": 3}, bench, tmp_path)
    image, itk = nibabel.load(tmp_path / "000.nii.gz"), sitk.ReadImage(tmp_path / "000.nii.gz")
    flip = np.diag([-1.0, -1, 1])
    assert np.allclose(flip @ itk.GetOrigin(), image.affine[:3, 3])
    assert itk.GetSpacing() == pytest.approx(image.header.get_zooms())
    assert np.array_equal(sitk.GetArrayFromImage(itk).transpose(2, 1, 0), np.asarray(image.dataobj))
    assert image.get_data_dtype() == np.int16
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    assert (float(image.header["cal_min"]), float(image.header["cal_max"])) == (-200.0, 300.0)


def test_every_volume_says_that_it_is_synthetic_and_from_what(bench, tmp_path):
    _run("generate", {"seed": 3}, bench, tmp_path)
    header = nibabel.load(tmp_path / "000.nii.gz").header
    assert b"synthetic" in bytes(header["descrip"].item())
    told = json.loads(header.extensions[0].get_content().decode().rstrip("\0"))
    assert told["synthetic"] is True
    assert told["model_sha256"] == bench.card("tiny").sha256
    assert told["latent"] == {"seed": 3}
    assert "voxelsmith" in told["software"]


@pytest.mark.parametrize("format_", ["nii.gz", "nii", "nrrd", "mha", "npy"])
def test_every_format_holds_the_same_voxels(bench, tmp_path, format_):
    _run("generate", {"seed": 3, "output": {"format": "nii"}}, bench, tmp_path / "a")
    manifest = _run("generate", {"seed": 3, "output": {"format": format_}}, bench, tmp_path / "b")
    assert manifest.results[0].name == f"000.{format_}"
    expected = np.asarray(nibabel.load(tmp_path / "a" / "000.nii").dataobj)
    path = tmp_path / "b" / f"000.{format_}"
    found = np.load(path) if format_ == "npy" else sitk.GetArrayFromImage(sitk.ReadImage(path)).transpose(2, 1, 0)
    assert np.array_equal(found, expected)


def test_stored_values_are_the_cards_units_and_unit_values_lie_in_0_to_1(bench, tmp_path):
    options = {"format": "npy", "preview": False}
    outputs = {
        "hu": {"dtype": "float32"},
        "int": {"dtype": "int16"},
        "unit": {"dtype": "float32", "intensity": "unit"},
        "byte": {"dtype": "uint8", "intensity": "unit"},
    }
    found = {}
    for name, output in outputs.items():
        manifest = _run("generate", {"seed": 3, "output": options | output}, bench, tmp_path / name)
        assert manifest.results[0].preview is None
        found[name] = np.load(tmp_path / name / "000.npy")
    assert found["hu"].dtype == np.float32
    assert -1024 <= found["hu"].min() < found["hu"].max() <= 600
    assert np.allclose(found["int"], np.rint(found["hu"]), atol=1)
    assert np.allclose(found["unit"], (found["hu"] + 1024) / 1624, atol=1e-5)
    assert np.allclose(found["byte"], np.rint(found["unit"] * 255), atol=1)


@pytest.mark.parametrize(("dtype", "steps"), [("int16", 32767), ("uint8", 255), ("float32", 1e9)])
def test_unit_values_are_read_back_as_such_from_the_formats_that_can_scale(bench, tmp_path, dtype, steps):
    for format_ in ("nii", "mha", "npy"):
        output = {"format": format_, "dtype": dtype, "intensity": "unit"}
        _run("generate", {"seed": 3, "output": output}, bench, tmp_path / format_)
    image, mha = nibabel.load(tmp_path / "nii" / "000.nii"), tmp_path / "mha" / "000.mha"
    voxels = np.load(tmp_path / "npy" / "000.npy") / (1 if dtype == "float32" else steps)
    assert 0 <= voxels.min() < voxels.max() <= 1
    assert np.allclose(image.get_fdata(), voxels, atol=1 / steps)
    assert np.allclose(read(mha).array, voxels, atol=1 / steps)
    ends = (float(image.header["cal_min"]), float(image.header["cal_max"]))
    assert ends == pytest.approx([(hu + 1024) / 1624 for hu in (-200, 300)], abs=1 / min(steps, 1e6))
    assert b"Comment = synthetic; voxelsmith; tiny\n" in mha.read_bytes()


def test_the_same_job_gives_the_same_bytes_every_time(bench, models, tmp_path):
    body = {"seed": 8, "num_samples": 2}
    _run("generate", body, bench, tmp_path / "first")
    _run("generate", body, bench, tmp_path / "second")
    assert _digests(tmp_path / "first") == _digests(tmp_path / "second")
    code = (
        "import sys; from pathlib import Path;from model_store.catalogue import Catalogue; from workers.run import run;"
        "from workers.bench import Bench; from workers.writing.folder_sink import FolderSink;"
        "models, out = map(Path, sys.argv[1:]); bench = Bench(Catalogue([models]), threads=1);"
        "run('generate', {'model': 'tiny', 'seed': 8, 'num_samples': 2}, None, bench, FolderSink(out))"
    )
    subprocess.run([sys.executable, "-c", code, str(models), str(tmp_path / "third")], check=True)
    assert _digests(tmp_path / "first") == _digests(tmp_path / "third")


def test_a_sample_has_the_same_bytes_alone_and_in_a_batch(bench, tmp_path):
    _run("generate", {"seed": 8, "num_samples": 3}, bench, tmp_path / "batch")
    _run("generate", {"seed": 10}, bench, tmp_path / "alone")
    assert (tmp_path / "batch" / "002.nii.gz").read_bytes() == (tmp_path / "alone" / "000.nii.gz").read_bytes()


JOBS = {
    "generate": {"seed": 2, "truncation": 0.5},
    "interpolate": {"source": {"seed": 1}, "edit": {"op": "interpolate", "target": {"seed": 2}, "steps": 3}},
    "encode": {"reconstruct": True, "refine_steps": 2},
    "fit": {"fit": {"method": "sefa", "name_prefix": "s", "count": 2}},
}
KINDS = {"interpolate": "edit", "fit": "fit_direction"}


def test_an_encode_of_a_seed_is_the_encode_of_its_volume(bench, tmp_path):
    _run("generate", {"seed": 4, "output": {"dtype": "float32"}}, bench, tmp_path / "made")
    of_file = _run("encode", {}, bench, tmp_path / "file", tmp_path / "made" / "000.nii.gz")
    of_seed = _run("encode", {"source": {"seed": 4}, "reconstruct": True}, bench, tmp_path / "seed")
    assert np.allclose(of_seed.latents, of_file.latents, atol=1e-4)
    record = json.loads((tmp_path / "seed" / "provenance.json").read_text())
    assert replay(record, None, bench, FolderSink(tmp_path / "again")).latents == of_seed.latents


@pytest.mark.parametrize("job", JOBS)
def test_a_provenance_record_replays_to_the_same_bytes(bench, tmp_path, scan, job):
    kind = KINDS.get(job, job)
    given = scan if kind == "encode" else None
    _run(kind, JOBS[job], bench, tmp_path / "first", given)
    record = json.loads((tmp_path / "first" / "provenance.json").read_text())
    replay(record, given, bench, FolderSink(tmp_path / "again"))
    assert _digests(tmp_path / "first") == _digests(tmp_path / "again")
    for made in record["results"]:
        assert _digests(tmp_path / "again")[made["name"]] == made["sha256"]


def test_a_move_along_a_fitted_direction_replays_without_the_store(bench, tmp_path):
    fitted: list[dict] = []
    body = {"fit": {"method": "sefa", "name_prefix": "free", "count": 1}}
    _run("fit_direction", body, bench, tmp_path / "fit", publish_direction=fitted.append)
    edit = {"source": {"seed": 1}, "edit": {"op": "move", "direction": "free-1", "strengths": [-2.0, 2.0]}}
    manifest = _run("edit", edit | {"direction": fitted[0]}, bench, tmp_path / "first")
    assert [entry.label for entry in manifest.results] == ["strength=-2", "strength=2"]
    record = json.loads((tmp_path / "first" / "provenance.json").read_text())
    replay(record, None, bench, FolderSink(tmp_path / "again"))
    assert _digests(tmp_path / "first") == _digests(tmp_path / "again")


def test_a_replay_is_refused_on_other_weights_another_scan_or_no_record(bench, tmp_path, scan):
    _run("encode", {}, bench, tmp_path / "first", scan)
    record = json.loads((tmp_path / "first" / "provenance.json").read_text())
    sink = FolderSink(tmp_path / "again")
    other = tmp_path / "other.nii.gz"
    other.write_bytes(scan.read_bytes() + b"x")
    refusals = [
        (record | {"model": {"sha256": "0" * 64}}, scan, "weights"),
        (record, other, "not the one"),
        (record, None, "none was given"),
        (record | {"provenance_version": 99}, scan, "version"),
        ({"hello": 1}, scan, "not the provenance record"),
        ([], scan, "not the provenance record"),
    ]
    for given, path, message in refusals:
        with pytest.raises(InvalidRequest, match=message):
            replay(given, path, bench, sink)


def test_a_generate_without_origin_draws_a_seed_and_tells_it(bench, tmp_path):
    manifest = _run("generate", {}, bench, tmp_path)
    seed = manifest.results[0].latent["seed"]
    assert json.loads((tmp_path / "provenance.json").read_text())["request"]["seed"] == seed


def test_an_encode_returns_latents_and_both_reconstructions(bench, tmp_path, scan):
    manifest = _run("encode", {"reconstruct": True}, bench, tmp_path, scan)
    assert np.shape(manifest.latents) == (1, 8)
    assert np.array_equal(np.load(tmp_path / "latents.npy"), np.array(manifest.latents, dtype=np.float32))
    assert [entry.label for entry in manifest.results] == ["reconstruction", "reconstruction-scan-grid"]
    assert {"psnr", "ssim", "mae", "scan_grid"} <= set(manifest.metrics)
    own = nibabel.load(scan)
    back = nibabel.load(tmp_path / "001.nii.gz")
    assert back.shape == own.shape
    assert np.allclose(back.affine, own.affine, atol=1e-4)
    body = {"latents": manifest.latents}
    _run("generate", body, bench, tmp_path / "again")
    again = nibabel.load(tmp_path / "again" / "000.nii.gz")
    model_grid = nibabel.load(tmp_path / "000.nii.gz")
    assert np.array_equal(np.asarray(again.dataobj), np.asarray(model_grid.dataobj))


def test_a_fit_stores_each_direction_and_publishes_it(bench, tmp_path):
    published: list[dict] = []
    measure = {"name": "mean_intensity"}
    fit = {"method": "regression", "name": "dense", "attribute": "density", "measure": measure, "num_samples": 8}
    manifest = _run("fit_direction", {"fit": fit}, bench, tmp_path, publish_direction=published.append)
    assert [direction["name"] for direction in published] == ["dense"]
    assert json.loads((tmp_path / "direction-dense.json").read_text()) == published[0]
    assert published[0]["units"] == "HU"
    assert manifest.metrics["r2"] == published[0]["r2"]
    assert manifest.results == []


@pytest.mark.parametrize(
    ("kind", "body", "error", "message"),
    [
        ("generate", {"seed": 1, "surprise": 1}, InvalidRequest, "not valid"),
        ("generate", {"seed": "1"}, InvalidRequest, "not valid"),
        ("generate", {"latents": [[0.0]]}, InvalidRequest, "8 numbers"),
        ("generate", {"model": "nobody", "seed": 1}, UnknownModel, "no model"),
        ("generate", {"model": "classes", "seed": 1}, InvalidRequest, "mild, severe"),
        ("encode", {}, InvalidRequest, "needs a volume"),
        (
            "edit",
            {"source": {"seed": 1}, "edit": {"op": "move", "direction": "nowhere", "strengths": [1.0]}},
            UnknownDirection,
            "no direction",
        ),
        (
            "edit",
            {"source": {"seed": 1}, "edit": {"op": "mix", "target": {"seed": 2}, "crossover": 1}},
            InvalidRequest,
            "no styles",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(bench, tmp_path, kind, body, error, message):
    with pytest.raises(error, match=message):
        _run(kind, body, bench, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_scan_is_unreadable(bench, tmp_path, scan):
    scan.write_bytes(scan.read_bytes()[:-20])
    with pytest.raises(UnreadableVolume):
        _run("encode", {}, bench, tmp_path / "out", scan)
    assert list((tmp_path / "out").iterdir()) == []


def test_output_that_is_not_finite_fails_the_job(tmp_path):
    """Every weight is finite, their products are not: loading finds nothing."""
    card = write_tiny_hagan(tmp_path / "m", "wild", stored=torch.float32)
    tensors = tiny_weights(32, 4, 8, 0, True, 0, torch.float32)
    tensors["generator.common.fc1.weight"].fill_(3e38)
    save_file(tensors, tmp_path / "m" / "wild" / "weights.safetensors")
    write_card(tmp_path / "m" / "wild", card)
    bench = Bench(Catalogue([tmp_path / "m"]), threads=1)
    with pytest.raises(NonFiniteOutput):
        _run("generate", {"model": "wild", "latents": [[1.0] * 8]}, bench, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(NonFiniteOutput):
        _run("generate", {"model": "wild", "latents": [[0.0] * 8, [1.0] * 8]}, bench, tmp_path / "half")
    assert set(_digests(tmp_path / "half")) == {"000.nii.gz", "000.png", "latents.npy", "provenance.json"}
    (made,) = json.loads((tmp_path / "half" / "provenance.json").read_text())["results"]
    assert made["sha256"] == _digests(tmp_path / "half")["000.nii.gz"]
    with pytest.raises(ModelBroken, match="not finite"):
        bench.warm_up("wild")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("generate", {"latents": [[3e38] * 8]}),
        ("edit", {"source": {"seed": 1}, "edit": {"op": "interpolate", "target": {"latent": [3e38] * 8}, "steps": 2}}),
    ],
)
def test_absurd_latents_end_as_a_failure_of_the_job_or_as_finite_volumes(bench, tmp_path, kind, body):
    try:
        manifest = _run(kind, body, bench, tmp_path)
    except NonFiniteOutput:
        return
    for entry in manifest.results:
        assert np.isfinite(np.asarray(nibabel.load(tmp_path / entry.name).dataobj)).all()


class CancelingSink(FolderSink):
    """Cancels when the given number of volumes is done."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__(folder)
        self.after = after
        self.kept: list[ResultFile] = []

    def stage(self, name: str, done: int, total: int, left_s: float | None = None) -> None:  # noqa: ARG002
        if done >= self.after:
            raise JobCanceled

    def keep(self, path: Path, entry: ResultFile) -> ResultFile:
        self.kept.append(entry)
        return super().keep(path, entry)


def test_a_canceled_job_keeps_what_it_finished_with_its_provenance(bench, tmp_path):
    sink = CancelingSink(tmp_path, after=2)
    with pytest.raises(JobCanceled):
        run("generate", {"model": "tiny", "seed": 1, "num_samples": 5}, None, bench, sink)
    names = ["000.nii.gz", "000.png", "001.nii.gz", "001.png", "latents.npy", "provenance.json"]
    assert sorted(entry.name for entry in sink.kept) == names
    assert len(json.loads((tmp_path / "provenance.json").read_text())["results"]) == 2


def test_a_preview_is_stored_before_the_volume_that_names_it(bench, tmp_path):
    sink = CancelingSink(tmp_path, after=99)
    run("generate", {"model": "tiny", "seed": 1, "num_samples": 2}, None, bench, sink)
    names = ["000.png", "000.nii.gz", "001.png", "001.nii.gz", "latents.npy", "provenance.json"]
    assert [entry.name for entry in sink.kept] == names


def test_progress_reaches_the_sink_stage_by_stage(bench, tmp_path):
    told: list[tuple[str, int, int]] = []
    sink = FolderSink(tmp_path, lambda *stage: told.append(stage))
    run("generate", {"model": "tiny", "seed": 1, "num_samples": 2}, None, bench, sink)
    assert told == [("load", 0, 2), ("forward", 0, 2), ("forward", 1, 2)]


def test_nothing_is_left_in_the_temporary_folder(bench, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    _run("generate", {"seed": 1}, bench, tmp_path / "out")
    with pytest.raises(InvalidRequest):
        _run("encode", {}, bench, tmp_path / "out")
    assert list(scratch.iterdir()) == []


def test_provenance_names_no_file_host_or_time(bench, tmp_path, scan):
    _run("encode", {}, bench, tmp_path / "out", scan)
    text = (tmp_path / "out" / "provenance.json").read_text()
    assert "scan.nii" not in text
    assert str(tmp_path) not in text
