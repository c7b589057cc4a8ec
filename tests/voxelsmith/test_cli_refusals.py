"""What the command line says before anything runs: its version, and devices, folders and addresses that are none."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.models.tiny_models import write_tiny_hagan
from voxelsmith.cli import app

HOMELESS = """
import pwd
import sys

def unknown(uid):
    raise KeyError(uid)

pwd.getpwuid = unknown
from voxelsmith.cli import app
app(sys.argv[1:])
"""
"""As for a user ID that a container was given, of which its password file knows nothing."""


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="voxelsmith")


def told(result: Result) -> str:
    return " ".join(result.stderr.split())


def test_the_version_is_told_with_that_of_torch() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"voxelsmith {metadata.version('voxelsmith')} (torch {metadata.version('torch')})\n"


def test_the_version_needs_no_torch() -> None:
    program = (
        "import sys\n"
        "from importlib import metadata\n"
        "sys.modules['torch'] = None\n"
        "found = metadata.Distribution.from_name.__func__\n"
        "def from_name(cls, name):\n"
        "    if name == 'torch': raise metadata.PackageNotFoundError(name)\n"
        "    return found(cls, name)\n"
        "metadata.Distribution.from_name = classmethod(from_name)\n"
        "from voxelsmith.cli import app; app(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"voxelsmith {metadata.version('voxelsmith')}\n"), done.stderr


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("options", "device", "reason"),
    [
        (["--device", "foo"], "cpu", "cpu, cuda:N"),
        ([], "foo", "VOXELSMITH_DEVICE"),
        (["--precision", "float16"], "cpu", "float16 needs a CUDA device"),
        (["--device", "cpu", "--precision", "tf32"], "cuda:0", "tf32 needs a CUDA device"),
    ],
)
def test_a_device_that_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, options: list[str], device: str, reason: str
) -> None:
    monkeypatch.setenv("VOXELSMITH_DEVICE", device)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    result = run(command, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in told(result)
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VOXELSMITH_LEASES", "VOXELSMITH_XYZ", "VOXELSMITH_LEASE_S", "VOXELSMITH_API_PORT_8000_TCP_ADDR"):
        monkeypatch.setenv(name, "20")
    result = run("models", "list")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "VOXELSMITH_LEASES is not a setting; is VOXELSMITH_LEASE_S meant?",
        "VOXELSMITH_XYZ is not a setting",
    ]


def test_a_job_on_a_device_that_is_none_is_refused(tmp_path: Path) -> None:
    result = run("generate", "--model", "brain-demo-256", "--device", "foo", "--out", tmp_path)
    assert result.exit_code == 2
    assert "cpu, cuda:N" in told(result)


@pytest.mark.parametrize(
    "words",
    [
        ["models", "list"],
        ["models", "verify", "brain-demo-256"],
        ["generate", "--model", "brain-demo-256"],
        ["directions", "list", "brain-demo-256"],
    ],
)
def test_a_model_folder_that_was_named_has_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    by_option = run("--models", nowhere, *words)
    monkeypatch.setenv("VOXELSMITH_MODELS_URL", nowhere.as_uri())
    for result in (by_option, run(*words)):
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"voxelsmith: {nowhere}: there is no folder of models here\n"


def test_the_usual_model_folder_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("VOXELSMITH_MODELS_URL", raising=False)
    assert "brain-demo-256" in run("models", "list").stdout


def test_the_service_warns_of_a_model_folder_that_is_not_there(tmp_path: Path) -> None:
    environment = {**os.environ, "VOXELSMITH_REDIS_URL": f"unix://{tmp_path}/none.sock"}
    words = ["--models", str(tmp_path / "later"), "worker"]
    command = [sys.executable, "-m", "voxelsmith", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    warning, error = done.stderr.splitlines()
    assert f"WARNING voxelsmith.serve: {tmp_path / 'later'}: there is no folder of models here" in warning
    assert "The queue does not answer" in error


@pytest.mark.parametrize("words", [["generate", "--model", "tiny"], ["directions", "list", "tiny"]])
def test_a_server_without_a_scheme_is_wrong_use(tmp_path: Path, words: list[str]) -> None:
    result = run(*words, "--server", "127.0.0.1:8077")
    assert result.exit_code == 2
    assert "begins with http:// or https://" in told(result)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["generate"], "model: is missing"),
        (["generate", "--model", "tiny", "--seeds", "1,2", "--num-samples", "3"], "--num-samples differs"),
        (["edit", "--model", "tiny", "--to-seed", "1", "--steps", "2"], "--seed, --latent or --from-job"),
        (["edit", "--model", "tiny", "--seed", "1"], "--to-seed or --to-latent with --steps"),
    ],
)
def test_a_request_that_lacks_something_is_told_in_the_servers_words(words: list[str], reason: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert reason in told(result)
    assert "Value error" not in told(result)


@pytest.mark.parametrize(
    ("url", "key", "reason"),
    [
        ("http://[::1", "", "the server's address is not a URL such as http://127.0.0.1:8000"),
        ("http://127.0.0.1:9", "clé", "the API key holds a character that no key has"),
    ],
)
def test_a_server_that_cannot_be_asked_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, url: str, key: str, reason: str
) -> None:
    monkeypatch.setenv("VOXELSMITH_API_KEY", key)
    for words in (("generate", "--model", "brain-demo-256", "--seed", 1), ("directions", "list", "brain-demo-256")):
        result = run(*words, "--server", url)
        assert (result.exit_code, result.stderr) == (1, f"voxelsmith: {reason}\n")


@pytest.mark.parametrize("home", [{}, {"HOME": ""}])
@pytest.mark.slow
def test_a_user_without_a_home_folder_needs_one_for_what_lies_there_alone(tmp_path: Path, home: dict[str, str]) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("HOME", "XDG_"))} | home

    def homeless(*words: object, **folders: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", HOMELESS, *map(str, words)]
        return subprocess.run(command, env=bare | folders, capture_output=True, text=True, check=False)

    line = "there is no home folder here; set HOME or XDG_DATA_HOME, or name the folder by --data or --models"
    for words in (("verify",), ("keys", "list"), ("serve", "--port", 0)):
        done = homeless(*words)
        assert (done.returncode, done.stderr) == (1, f"voxelsmith: ~: {line}\n"), words
    write_tiny_hagan(tmp_path / "models", "tiny")
    listed = homeless("models", "list")
    assert (listed.returncode, "brain-demo-256" in listed.stdout) == (0, True), listed.stderr
    made = homeless(
        *("--models", tmp_path / "models", "generate", "--model", "tiny", "--seed", 1, "--out", tmp_path / "out")
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "out" / "seed-1.nii.gz").is_file()
    assert homeless("keys", "list", "--data", tmp_path / "data").returncode == 0
    assert homeless("models", "list", XDG_DATA_HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path)).returncode == 0
