"""The command line against a running service, the two roles on their own, verify and the demo."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from contract.state import JobState, Manifest, ResultFile
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import Submission
from tests.support.models.tiny_megan import write_megan
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.processes import eventually
from tests.support.ready import await_ready
from tests.support.sides import deliveries
from voxelsmith import Client
from voxelsmith.cli import app
from voxelsmith.commands.verify import checked
from voxelsmith.demo import TRANSLATOR
from voxelsmith.embedded_valkey import EmbeddedValkey
from voxelsmith.file_names import names_of
from voxelsmith.local import Stack


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="voxelsmith")


def test_a_server_makes_the_same_files_as_this_process(stack: Stack, tmp_path: Path) -> None:
    words = ("generate", "--model", "tiny", "--seed", 11, "--num-samples", 2)
    models = ("--models", stack.settings.models_url)
    assert run(*models, *words, "--out", tmp_path / "here", "--threads", 1).exit_code == 0
    assert run(*words, "--out", tmp_path / "there", "--server", stack.url).exit_code == 0
    names = {path.name for path in (tmp_path / "here").iterdir()}
    assert names == {path.name for path in (tmp_path / "there").iterdir()}
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


def test_a_server_can_be_used_without_the_workers_libraries(stack: Stack, tmp_path: Path) -> None:
    words = ["generate", "--model", "tiny", "--seed", "1", "--server", stack.url, "--out", str(tmp_path / "out")]
    program = (
        "import sys\n"
        "for name in ('torch', 'SimpleITK', 'scipy', 'safetensors', 'PIL', 'monai'): sys.modules[name] = None\n"
        f"from voxelsmith.cli import app; app({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "seed-1.nii.gz").exists()


def test_encode_and_edit_by_a_server(stack: Stack, tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    nibabel.Nifti1Image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4)).to_filename(scan)
    server = ("--server", stack.url, "--json")
    encoded = run("encode", scan, "--model", "tiny", "--out", tmp_path / "encoded", *server)
    assert encoded.exit_code == 0, encoded.output
    record = json.loads(encoded.stdout)
    assert np.allclose(np.load(tmp_path / "encoded" / "latents.npy"), record["latents"])
    words = ("edit", "--model", "tiny", "--from-job", record["id"], "--to-seed", 1, "--steps", 2)
    edited = run(*words, "--out", tmp_path / "edited", *server)
    made = ["step=1/2", "step=1/2 scan-grid", "step=2/2", "step=2/2 scan-grid"]
    assert [entry["label"] for entry in json.loads(edited.stdout)["results"]] == made


def test_a_job_that_somebody_else_cancels_is_a_failure_with_what_it_had_finished(stack: Stack, tmp_path: Path) -> None:
    words = ["generate", "--model", "tiny", "--seed", "1", "--num-samples", "64"]
    command = [sys.executable, "-m", "voxelsmith", *words, "--server", stack.url, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with Client(stack.url) as client:
        job = eventually(lambda: next((job for job in client.jobs(state="running") if job.results), None))
        client.cancel_job(job.id)
        out, err = process.communicate(timeout=60)
        record = client.fetch_record(job.id)
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert f"job {job.id} was canceled" in err
    given = names_of(record)
    names = {given.get(entry["name"], entry["name"]) for entry in (*record["results"], *record["files"])}
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    assert len(record["results"]) < 64


def test_ctrl_c_stops_the_servers_job_and_fetches_what_it_had_finished(stack: Stack, tmp_path: Path) -> None:
    words = ["generate", "--model", "tiny", "--seed", "3", "--num-samples", "64"]
    command = [sys.executable, "-m", "voxelsmith", *words, "--server", stack.url, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with Client(stack.url) as client:
        job = eventually(lambda: next((job for job in client.jobs(state="running") if job.results), None))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        record = client.fetch_record(job.id)
    assert (process.returncode, out, err.count("\n"), record["state"]) == (130, "", 1, "canceled")
    assert f"job {job.id} is canceled" in err
    told = json.loads((tmp_path / "out" / "provenance.json").read_text())["results"]
    assert told
    assert all((tmp_path / "out" / entry["name"]).is_file() for entry in told)


def test_directions_of_a_server(stack: Stack, tmp_path: Path) -> None:
    server = ("--server", stack.url)
    fit = run("directions", "fit", "tiny", "--sefa", "by-cli", "--count", 1, "--out", tmp_path, *server)
    assert fit.exit_code == 0, fit.output
    assert "by-cli-1" in run("directions", "list", "tiny", *server).stdout
    assert run("directions", "remove", "tiny", "by-cli-1", *server).exit_code == 0
    gone = run("directions", "remove", "tiny", "by-cli-1", *server)
    assert (gone.exit_code, gone.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["generate", "--model", "tiny", "--class", "mild"], 2),
        (["generate", "--model", "none-such"], 1),
        (["encode", __file__, "--model", "tiny"], 1),
    ],
)
def test_a_servers_refusals_have_the_same_exit_codes(stack: Stack, tmp_path: Path, words: list[str], code: int) -> None:
    result = run(*words, "--server", stack.url, "--out", tmp_path)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output


def test_verify_finds_a_flipped_bit_and_a_lost_file(stack: Stack) -> None:
    with Client(stack.url) as client:
        job = client.generate(model="tiny", seed=1, num_samples=2).wait()
        folder = stack.data / "store" / "results" / job.id
        try:
            assert run("verify", "--data", stack.data).exit_code == 0
            first = folder / "000.nii.gz"
            data = bytearray(first.read_bytes())
            data[-1] ^= 1
            first.write_bytes(data)
            (folder / "001.nii.gz").unlink()
            result = run("verify", "--data", stack.data, "--json")
            assert result.exit_code == 1
            bad = {row["file"]: row["state"] for row in json.loads(result.stdout) if row["state"] != "sound"}
            assert bad == {"000.nii.gz": "damaged", "001.nii.gz": "missing"}
        finally:
            job.remove()


def test_a_job_that_goes_while_it_is_verified_is_not_missed(queue: JobQueue, tmp_path: Path) -> None:
    for _ in range(2):
        job = queue.submit(Submission("generate", "tiny", "a" * 64, {"model": "tiny"}, {"model": "tiny"}, "d" * 64))
        deliveries(queue).claim(job.id, 1, "worker")
        (tmp_path / "made").write_bytes(b"made")
        entry = ResultFile(name="000.nii", index=0, media_type="a/b", size_bytes=0, sha256="", shape=[1, 1, 1])
        size, digest = queue.results.write_result(job.id, entry, tmp_path / "made")
        entry = entry.model_copy(update={"size_bytes": size, "sha256": digest})
        deliveries(queue).finish(job.id, 1, JobState.SUCCEEDED, Manifest(results=[entry]))
    newest, oldest = queue.list().items
    rows = checked(queue)
    assert next(rows) == {"job": newest.id, "file": "000.nii", "state": "sound"}
    queue.remove(oldest.id)
    assert list(rows) == []


def test_verify_of_a_folder_without_a_service(tmp_path: Path) -> None:
    result = run("verify", "--data", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "0 files, 0 sound, 0 not\n")


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """`voxelsmith api` and `voxelsmith worker` over one Valkey and one store: the API's URL and the two processes."""
    write_tiny_hagan(tmp_path / "models", "tiny")
    with EmbeddedValkey(tmp_path / "queue") as valkey:
        environment = {
            **os.environ,
            "VOXELSMITH_REDIS_URL": valkey.url,
            "VOXELSMITH_STORE_URL": (tmp_path / "store").as_uri(),
            "VOXELSMITH_MODELS_URL": str(tmp_path / "models"),
            "VOXELSMITH_THREADS": "1",
        }
        command = [sys.executable, "-m", "voxelsmith"]
        with (tmp_path / "log").open("w") as log:
            started = [
                subprocess.Popen([*command, *role], env=environment, stderr=log)
                for role in (["api", "--port", "0"], ["worker"])
            ]
        # A free port that is looked for here may be another's by the time that the process takes it.
        yield eventually(lambda: re.search(r"running on (http://\S+)", (tmp_path / "log").read_text()), 90)[1], started
        for process in started:
            process.kill()
            process.wait()


def test_api_and_worker_as_two_roles(roles: tuple[str, list["subprocess.Popen[bytes]"]]) -> None:
    url, processes = roles
    await_ready(url)
    with Client(url) as client:
        assert client.generate(model="tiny", seed=1).volume().shape == (32, 32, 32)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(60) for process in processes] == [0, 0]


def test_a_role_without_its_queue_says_so_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "VOXELSMITH_REDIS_URL": f"unix://{tmp_path}/none.sock"}
    environment["VOXELSMITH_STORE_URL"] = (tmp_path / "store").as_uri()
    for role in ("api", "worker"):
        words = [sys.executable, "-m", "voxelsmith", role]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert done.stderr.startswith("voxelsmith: The queue does not answer")


@pytest.mark.timeout(240)
def test_the_demo_makes_what_it_says_and_stops(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path / "models", "tiny")
    write_megan(tmp_path / "models", TRANSLATOR)
    words = ["--models", str(tmp_path / "models"), "demo", "--model", "tiny", "--out", str(tmp_path / "out")]
    temporary = tmp_path / ("longer-than-the-path-of-a-unix-socket-" * 3)
    environment = {**os.environ, "VOXELSMITH_THREADS": "1", "TMPDIR": str(temporary)}
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "voxelsmith", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    volumes = {
        f"{folder}/{k:03d}.nii.gz"
        for folder, count in (("generated", 2), ("encoded", 2), ("edited", 3), ("translated", 1))
        for k in range(count)
    }
    assert volumes | {"contact-sheet.png", "encoded/latents.npy", "edited/provenance.json"} <= made
    for step in ("start", "ready", "generate", "encode", "edit", "translate", "contact sheet", "stop"):
        assert step in done.stdout
    assert f"serve --data {tmp_path / 'out' / 'service'}" in done.stdout
    assert list(temporary.iterdir()) == []
    template_grid = nibabel.load(tmp_path / "out" / "encoded" / "001.nii.gz")
    assert template_grid.shape == (197, 233, 189)
    assert nibabel.load(tmp_path / "out" / "translated" / "000.nii.gz").shape == (197, 233, 189)


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_a_demo_that_is_kept_shows_what_it_made_until_it_is_interrupted(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path / "models", "tiny")
    write_megan(tmp_path / "models", TRANSLATOR)  # which cannot take this scan, and is passed over
    scan = tmp_path / "scan.nii"
    nibabel.Nifti1Image(np.arange(4096, dtype=np.int16).reshape(16, 16, 16), np.eye(4)).to_filename(scan)
    words = ["--models", tmp_path / "models", "demo", "--model", "tiny", "--scan", scan, "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "voxelsmith", *map(str, words), "--keep"]
    environment = {**os.environ, "VOXELSMITH_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited, as by what a script starts in the background
    try:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert process.stdout is not None
        url = next(line for line in process.stdout if line.startswith("Open ")).split()[1]
        assert url.endswith("/#/jobs")
        with Client(url.removesuffix("/#/jobs")) as client:
            client.ready()
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    with Stack(tmp_path / "out" / "service", Settings(models_url=str(tmp_path / "models"), port=0, threads=1)) as stack:
        jobs = httpx.get(f"{stack.url}/jobs", timeout=60).json()["items"]
        assert [job["kind"] for job in jobs if job["state"] == "succeeded"][-2:] == ["encode", "generate"]
