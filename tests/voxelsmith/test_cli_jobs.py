"""generate, encode, edit and directions on the command line, in this process: files, records, exit codes."""

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.models.tiny_stylegan import write_stylegan
from tests.support.processes import eventually
from voxelsmith.cli import app

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line with two tiny models, of which `sorted` has classes, and a data folder of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("VOXELSMITH_THREADS", "1")
    write_tiny_hagan(tmp_path / "models", "tiny")
    write_tiny_hagan(tmp_path / "models", "sorted", classes=("mild", "severe"))

    def invoke(*args: object, **options: Any) -> Result:
        words = ["--models", str(tmp_path / "models"), *(str(arg) for arg in args)]
        return CliRunner().invoke(app, words, prog_name="voxelsmith", **options)

    return invoke


def record_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_generate_writes_volumes_pictures_latents_and_provenance(run: Run, tmp_path: Path) -> None:
    result = run("generate", "--model", "tiny", "--seed", 5, "--num-samples", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"seed-5.nii.gz", "seed-5.png", "seed-6.nii.gz", "seed-6.png", "latents.npy", "provenance.json"}
    assert "seed 5" in result.stdout
    assert "seed 6" in result.stdout
    image = nibabel.load(tmp_path / "out" / "seed-5.nii.gz")
    assert image.shape == (32, 32, 32)
    assert "synthetic" in image.header["descrip"].item().decode()


def test_json_prints_the_job_record(run: Run, tmp_path: Path) -> None:
    record = record_of(run("generate", "--model", "tiny", "--seed", 5, "--out", tmp_path / "out", "--json"))
    assert record["state"] == "succeeded"
    assert record["request"]["seed"] == 5
    assert record["results"][0]["latent"] == {"seed": 5}
    assert record["results"][0]["url"] == (tmp_path / "out" / "seed-5.nii.gz").as_uri()


def test_of_a_reconstruction_the_latent_is_written_once(run: Run, tmp_path: Path) -> None:
    run("generate", "--model", "tiny", "--seed", 5, "--out", tmp_path / "made")
    scan, out = tmp_path / "made" / "seed-5.nii.gz", tmp_path / "encoded"
    assert run("encode", scan, "--model", "tiny", "--reconstruct", "--out", out).exit_code == 0
    told = json.loads((out / "provenance.json").read_text())["results"]
    assert [entry["latent"] for entry in told] == 2 * [{"file": "latents.npy", "row": 0, "space": "z"}]
    assert [entry["name"] for entry in told] == ["reconstruction_model-grid.nii.gz", "reconstruction_scan-grid.nii.gz"]


def test_ctrl_c_leaves_what_is_whole_with_its_provenance_and_the_same_command_goes_on(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["generate", "--model", "tiny", "--num-samples", "64", "--threads", "1", "--out", str(out)]
    command = [sys.executable, "-m", "voxelsmith", "--models", str(tmp_path / "models"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: len(list(out.glob("seed-*.nii.gz"))) >= 2, 60)
        process.send_signal(signal.SIGINT)
        printed, err = process.communicate(timeout=60)
    assert (process.returncode, printed, err.count("\n")) == (130, "", 1)
    record = json.loads((out / "provenance.json").read_text())
    made, seed = [out / entry["name"] for entry in record["results"]], record["request"]["seed"]
    assert 2 <= len(made) < 64
    assert f"{len(made)} of 64 volumes are in {out}, with their provenance.json" in err
    assert f"the same command with --seed {seed} goes on" in err
    assert np.load(out / "latents.npy").shape[0] == len(made)
    before = {path: path.stat().st_mtime_ns for path in made}
    assert len(record_of(run(*words, "--seed", seed, "--json"))["results"]) == 64
    assert {path: path.stat().st_mtime_ns for path in made} == before
    assert not list(out.glob(".*"))
    assert np.load(out / "latents.npy").shape[0] == 64
    assert len(json.loads((out / "provenance.json").read_text())["results"]) == 64


def test_a_missing_seed_is_drawn_and_told(run: Run, tmp_path: Path) -> None:
    records = [record_of(run("generate", "--model", "tiny", "--out", tmp_path / "o", "--json")) for _ in range(2)]
    first, second = (record["request"]["seed"] for record in records)
    assert first != second


def test_files_that_an_earlier_job_left_in_the_folder_are_told(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("generate", "--model", "tiny", "--seed", 1, "--out", out)
    assert run(*words, "--num-samples", 3).stderr == ""
    (out / "notes.txt").write_text("mine")
    assert run(*words, "--num-samples", 3).stderr == ""
    result = run(*words, "--json")
    assert record_of(result)["state"] == "succeeded"
    told = f"{out} also holds files of an earlier job: seed-2.nii.gz, seed-2.png, seed-3.nii.gz and 1 more\n"
    assert result.stderr == told
    assert run("replay", out / "provenance.json", "--out", out).stderr == told


def test_request_takes_the_http_body_and_options_win(run: Run, tmp_path: Path) -> None:
    body = {"model": "tiny", "seeds": [1, 2], "output": {"format": "nii", "preview": False}}
    (tmp_path / "body.json").write_text(json.dumps(body))
    out = tmp_path / "out"
    record = record_of(run("generate", "--request", tmp_path / "body.json", "--dtype", "uint8", "--out", out, "--json"))
    wanted = {"format": "nii", "dtype": "uint8", "intensity": "stored", "preview": False}
    assert record["request"]["output"] == wanted | {"grid": None, "crop": None}
    assert {path.name for path in out.iterdir()} == {"seed-1.nii", "seed-2.nii", "latents.npy", "provenance.json"}


def test_request_reads_standard_input(run: Run, tmp_path: Path) -> None:
    body = json.dumps({"model": "tiny", "seed": 1})
    assert run("generate", "--request", "-", "--out", tmp_path / "out", input=body).exit_code == 0


def test_encode_writes_latents_that_edit_takes(run: Run, tmp_path: Path) -> None:
    run("generate", "--model", "tiny", "--seed", 5, "--out", tmp_path / "made")
    scan, out = tmp_path / "made" / "seed-5.nii.gz", tmp_path / "encoded"
    record = record_of(run("encode", scan, "--model", "tiny", "--reconstruct", "--out", out, "--json"))
    latents = np.load(out / "latents.npy")
    assert latents.shape == (1, 8)
    assert np.allclose(latents, record["latents"])
    assert {"psnr", "ssim", "mae"} <= set(record["metrics"])
    words = ("--latent", out / "latents.npy", "--to-seed", 5, "--steps", 3, "--out", tmp_path / "walk", "--json")
    walk = record_of(run("edit", "--model", "tiny", *words))
    assert len(walk["results"]) == 3
    assert np.allclose(walk["results"][0]["latent"]["latent"], latents[0], atol=1e-5)


def test_directions_are_fitted_listed_followed_and_removed(run: Run, tmp_path: Path) -> None:
    fit = ("directions", "fit", "tiny", "--name", "dense", "--measure", "mean_intensity", "--num-samples", 8)
    assert run(*fit, "--out", tmp_path / "fit").exit_code == 0
    (listed,) = json.loads(run("directions", "list", "tiny", "--json").stdout)
    assert (listed["name"], listed["method"], listed["shipped"]) == ("dense", "regression", False)
    again = run(*fit, "--out", tmp_path / "fit")
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)
    move = ("edit", "--model", "tiny", "--seed", 1, "--direction", "dense", "--strengths", "-1,0,1", "--json")
    results = record_of(run(*move, "--out", tmp_path / "moved"))["results"]
    assert [entry["label"] for entry in results] == ["strength=-1", "strength=0", "strength=1"]
    assert run("directions", "remove", "tiny", "dense").exit_code == 0
    assert json.loads(run("directions", "list", "tiny", "--json").stdout) == []


def test_a_class_is_taken_by_name_or_index(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bytes_of = []
    for label in ("severe", "1"):
        assert run("generate", "--model", "sorted", "--seed", 1, "--class", label, "--out", out).exit_code == 0
        bytes_of.append(nibabel.load(out / f"seed-1_class-{label}.nii.gz").get_fdata())
    assert np.array_equal(*bytes_of)


@pytest.mark.parametrize(
    "words",
    [
        ["generate"],
        ["generate", "--model", "tiny", "--seed", "-1"],
        ["generate", "--model", "tiny", "--seed", "1", "--seeds", "1,2"],
        ["generate", "--model", "tiny", "--seeds", "1,x"],
        ["generate", "--model", "tiny", "--class", "mild"],
        ["generate", "--model", "sorted", "--seed", "1"],
        ["generate", "--model", "sorted", "--class", "none-such"],
        ["generate", "--model", "tiny", "--precision", "float16"],
        ["generate", "--model", "tiny", "--request", "/no/such/file"],
        ["encode", "--model", "tiny"],
        ["encode", "/no/such/scan", "--model", "tiny"],
        ["edit", "--model", "tiny", "--seed", "1"],
        ["edit", "--model", "tiny", "--seed", "1", "--to-seed", "2"],
        ["edit", "--model", "tiny", "--seed", "1", "--strengths", "1"],
        ["edit", "--model", "tiny", "--seed", "1", "--to-seed", "2", "--crossover", "1"],
        ["edit", "--model", "tiny", "--from-job", "a", "--to-seed", "2", "--steps", "2"],
        ["models", "nothing"],
        ["nothing"],
    ],
)
def test_wrong_use_exits_2_and_says_why(run: Run, tmp_path: Path, words: list[str]) -> None:
    result = run(*words, *(["--out", tmp_path / "out"] if words[0] in ("generate", "encode", "edit") else []))
    assert result.exit_code == 2, result.output
    assert "Error:" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words",
    [
        ["generate", "--model", "none-such", "--seed", "1"],
        ["edit", "--model", "tiny", "--seed", "1", "--direction", "none-such", "--strengths", "1"],
        ["encode", __file__, "--model", "tiny"],
        ["generate", "--model", "tiny", "--seed", "1", "--server", "http://127.0.0.1:9"],
        ["generate", "--model", "tiny", "--seed", "1", "--out", "/proc/nothing"],
        ["models", "show", "none-such"],
        ["directions", "list", "none-such"],
    ],
)
def test_failure_exits_1_with_one_line(run: Run, tmp_path: Path, words: list[str]) -> None:
    needs_out = words[0] in ("generate", "encode", "edit") and "--out" not in words
    result = run(*words, *(["--out", tmp_path / "out"] if needs_out else []))
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("voxelsmith: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("part", ["source", "target"])
def test_a_job_as_source_or_target_needs_a_server(run: Run, tmp_path: Path, part: str) -> None:
    body: dict[str, Any] = {"model": "tiny", "source": {"seed": 1}}
    body["edit"] = {"op": "interpolate", "target": {"seed": 2}, "steps": 2}
    (body["edit"] if part == "target" else body)[part] = {"job": "abc"}
    (tmp_path / "body.json").write_text(json.dumps(body))
    result = run("edit", "--request", tmp_path / "body.json", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--server" in result.stderr


def test_generate_touches_nothing_but_its_folder(run: Run, tmp_path: Path) -> None:
    assert run("generate", "--model", "tiny", "--seed", 1, "--out", tmp_path / "out").exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"models", "out"}


def test_latents_that_do_not_fit_are_wrong_use(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", np.zeros((1, 3)))
    result = run("generate", "--model", "tiny", "--latents", tmp_path / "short.npy", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "latents" in result.stderr
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def test_one_latent_and_a_request_with_a_mark_of_utf_8_are_taken(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.linspace(-1, 1, 8))
    (tmp_path / "body.json").write_text('{"model": "tiny", "output": {"format": "nii"}}', encoding="utf-8-sig")
    words = ("generate", "--request", tmp_path / "body.json", "--latents", tmp_path / "one.npy")
    assert run(*words, "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "latent-0.nii").is_file()


def test_a_file_of_no_latents_is_wrong_use(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "none.npy", np.zeros(0))
    for words in (("generate", "--latents"), ("edit", "--direction", "d", "--strengths", "1", "--latent")):
        assert run(*words, tmp_path / "none.npy", "--model", "tiny", "--out", tmp_path / "out").exit_code == 2


def test_without_torch_a_job_names_the_extra(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path, "tiny")
    words = ["--models", str(tmp_path), "generate", "--model", "tiny", "--seed", "1", "--out", str(tmp_path / "out")]
    program = f"import sys; sys.modules['torch'] = None; from voxelsmith.cli import app; app({words!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"not installed: pip install (-e )?'\S+\[worker\]'\n$", done.stderr)
    source = Path(shlex.split(done.stderr)[-1].removesuffix("[worker]"))
    assert source.exists(), "the hint names a folder or wheel that is there"
    assert done.stderr.count("\n") == 1


def test_replay_makes_the_same_bytes_from_a_provenance_record(run: Run, tmp_path: Path) -> None:
    scan = tmp_path / "made" / "seed-5_truncation-0.8.nii.gz"
    run("generate", "--model", "tiny", "--seed", 5, "--truncation", 0.8, "--out", tmp_path / "made")
    run("encode", scan, "--model", "tiny", "--reconstruct", "--out", tmp_path / "encoded")
    for folder, options in (("made", []), ("encoded", ["--scan", scan])):
        record = tmp_path / folder / "provenance.json"
        result = run("replay", record, *options, "--out", tmp_path / "again", "--json")
        assert result.exit_code == 0, result.output
        rows = json.loads(result.stdout)
        assert rows
        assert all(row["identical"] for row in rows)
        for row in rows:
            assert (tmp_path / "again" / row["name"]).read_bytes() == (tmp_path / folder / row["name"]).read_bytes()
    refused = run("replay", tmp_path / "encoded" / "provenance.json", "--out", tmp_path / "no")
    assert refused.exit_code == 2
    assert "--scan FILE" in refused.stderr
    other = run("replay", tmp_path / "encoded" / "provenance.json", "--scan", __file__, "--out", tmp_path / "no")
    assert other.exit_code == 2
    assert "not the one of the provenance record" in " ".join(other.stderr.split())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": [1]}', '{"results": []}'])
def test_replay_refuses_what_is_no_provenance_record(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_text(text)
    result = run("replay", tmp_path / "record.json", "--out", tmp_path / "again")
    assert result.exit_code == 2
    assert "provenance record" in " ".join(result.stderr.split())


def test_a_mix_takes_the_coarse_layers_of_one_seed_and_the_fine_ones_of_another(run: Run, tmp_path: Path) -> None:
    write_stylegan(tmp_path / "models", "styles")
    edit = ("edit", "--model", "styles", "--seed", 1, "--mix-with", 2, "--format", "npy", "--json")
    record = record_of(run(*edit, "--crossover", 4, "--truncation", 0.5, "--out", tmp_path / "mixed"))
    assert record["request"]["edit"] == {"op": "mix", "target": {"seed": 2}, "crossover": 4}
    mixed = np.load(tmp_path / "mixed" / "latents.npy")[0]
    for name, seed, part in (("first", 1, slice(0, 4)), ("second", 2, slice(4, 6))):
        generate = ("generate", "--model", "styles", "--seed", seed, "--truncation", 0.5, "--out", tmp_path / name)
        assert run(*generate).exit_code == 0
        assert np.array_equal(mixed[part], np.load(tmp_path / name / "latents.npy")[0][part])
    noisy = record_of(run(*edit, "--crossover", 6, "--noise", "random", "--noise-seed", 8, "--out", tmp_path / "n"))
    assert noisy["results"][0]["noise_seed"] == 8


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--mix-with", 2), "--mix-with needs --crossover"),
        (("--crossover", 2), "--mix-with or --to-latent is missing"),
        (("--mix-with", 2, "--to-seed", 3, "--crossover", 2), "one of --to-seed and --mix-with"),
        (("--mix-with", 2, "--crossover", 2, "--noise-seed", 1), "--noise-seed goes with noise random"),
    ],
)
def test_a_mix_that_lacks_something_is_wrong_use(run: Run, tmp_path: Path, words: tuple[Any, ...], told: str) -> None:
    result = run("edit", "--model", "tiny", "--seed", 1, *words, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert told in " ".join(result.output.replace("│", " ").split())


def test_a_dicom_series_of_a_sample_can_be_taken_as_a_grid(run: Run, tmp_path: Path) -> None:
    generate = ("generate", "--model", "tiny", "--seed", 5, "--no-preview", "--out", tmp_path)
    (made,) = record_of(run(*generate, "--format", "dicom", "--shape", "9,8,7", "--json"))["results"]
    assert (made["name"], made["media_type"]) == ("seed-5_shape-9x8x7.dcm.zip", "application/zip")
    told = run(*generate, "--like", tmp_path / made["name"])
    assert told.exit_code == 0
    assert nibabel.load(tmp_path / "seed-5_reference-grid.nii.gz").shape == (9, 8, 7)
    assert f"also holds files of an earlier job: {made['name']}" in told.output


def test_volumes_take_a_chosen_grid_and_a_replay_gives_it_again(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate = ("generate", "--model", "tiny", "--seed", 5, "--no-preview", "--out", out)
    assert record_of(run(*generate, "--spacing", "2,2.5,4", "--json"))["results"][0]["spacing_mm"] == [2, 2.5, 4]
    assert run("replay", out / "provenance.json", "--out", tmp_path / "again").exit_code == 0
    names = {path.name: path.read_bytes() for path in (tmp_path / "again").glob("*.nii.gz")}
    assert names == {"seed-5_spacing-2x2.5x4.nii.gz": (out / "seed-5_spacing-2x2.5x4.nii.gz").read_bytes()}
    reference = nibabel.Nifti1Image(np.zeros((9, 8, 7), np.int16), np.diag([3.0, 3, 3, 1]))
    nibabel.save(reference, tmp_path / "reference.nii.gz")
    assert run(*generate, "--like", tmp_path / "reference.nii.gz").exit_code == 0
    image = nibabel.load(out / "seed-5_reference-grid.nii.gz")
    assert image.shape == (9, 8, 7)
    np.testing.assert_allclose(image.affine, reference.affine)
    assert run(*generate, "--shape", "8,9,10", "--crop", "foreground").exit_code == 0
    assert nibabel.load(out / "seed-5_shape-8x9x10_foreground.nii.gz").shape == (8, 9, 10)


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--model", "tiny", "--seed", "5"),
        ("encode", "SCAN", "--model", "tiny"),
        ("edit", "--model", "tiny", "--seed", "5", "--direction", "d", "--strengths", "1"),
        ("translate", "SCAN", "--model", "tiny"),
        ("directions", "fit", "tiny", "--sefa", "p", "--count", "1"),
    ],
)
def test_a_webhook_takes_a_service_to_send_it(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    scan = tmp_path / "scan.nii"
    nibabel.save(nibabel.Nifti1Image(np.ones((40, 40, 40), np.int16), np.eye(4)), scan)
    named = [str(scan) if word == "SCAN" else word for word in words]
    command = (*named, "--out", tmp_path / "out", "--webhook")
    for address, told in (
        ("https://receiver.example/", "a webhook is sent by a service"),
        ("ftp://receiver.example/", "--webhook: must be an address such as"),
    ):
        result = run(*command, address)
        assert result.exit_code == 2
        assert told in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--spacing", "0.01,1,1"), "a side would have fewer than 4 voxels or more than 1024"),
        (("--spacing", "30,1,1"), "a side would have fewer than 4 voxels or more than 1024"),
        (("--shape", "3,8,8"), "--spacing, --shape or --like"),
        (("--spacing", "1,1,1", "--shape", "8,8,8"), "give one of"),
        (("--like", "somejob"), "needs the --server"),
    ],
)
def test_a_grid_that_cannot_be_made_is_wrong_use(run: Run, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    result = run("generate", "--model", "tiny", "--seed", 5, "--out", tmp_path / "out", *words)
    assert result.exit_code == 2, result.output
    assert told in " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())
