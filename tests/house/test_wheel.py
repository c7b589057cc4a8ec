"""What is installed: a wheel from a clean copy holds all that runs, and runs wherever it is started."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.ready import await_ready
from voxelsmith import Client

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = [name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]
NAMES = ("jobs", "service", "workers", "training", "contract", "volumes", "latents", "model_store", "redis", "typer")
"""Files that a user may well have in a folder."""


def copy_of(folder: Path) -> Path:
    """The sources without the page, as a fresh clone has them."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "static"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(source: Path, out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    options = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--wheel-dir", str(out))
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(out)} | environment
    return subprocess.run(command, env=bare, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = copy_of(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("out")
    (source / "service" / "static" / "assets").mkdir(parents=True)
    (source / "service" / "static" / "index.html").write_text("<!doctype html>")
    (source / "service" / "static" / "assets" / "index.js").write_text("")
    done = build(source, out)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_a_wheel_holds_the_page_both_models_and_every_module(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    kept = [path for room in ROOMS for kind in ("*.py", "*.lua", "py.typed") for path in (ROOT / room).rglob(kind)]
    wanted = {path.relative_to(ROOT).as_posix() for path in kept}
    for shipped in ("demo", "features/distortion"):
        wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "model_store" / shipped).rglob("*.*")}
    wanted |= {"service/static/index.html", "service/static/assets/index.js"}
    assert wanted <= inside
    assert {name.partition("/")[0] for name in inside if ".dist-info/" not in name} == set(ROOMS)


@pytest.mark.slow
def test_a_wheel_without_the_page_is_not_built_by_accident(tmp_path: Path) -> None:
    source = copy_of(tmp_path / "source")
    refused = build(source, tmp_path / "out")
    assert refused.returncode != 0
    assert "the page is not built: `make wheel` builds it" in refused.stdout + refused.stderr
    done = build(source, tmp_path / "out", WITHOUT_PAGE="1")
    assert done.returncode == 0, done.stderr
    (source / "model_store" / "demo" / "head-style-128" / "weights.safetensors").unlink()
    assert "a model that ships is not there" in build(source, tmp_path / "out", WITHOUT_PAGE="1").stderr


def lay_traps(folder: Path) -> Path:
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was taken from the folder')\n")
    return folder


def test_it_serves_in_a_folder_of_files_that_are_named_as_its_rooms(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path / "models", "tiny")
    words = ["--models", str(tmp_path / "models"), "serve", "--data", str(tmp_path / "data"), "--port", "0"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "voxelsmith", *words],
            cwd=lay_traps(tmp_path / "here"), stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, (tmp_path / "log").read_text()
        await_ready(found[0])
        with Client(found[0]) as client:
            assert client.generate(model="tiny", seed=1, wait_s=60).volume(0).shape
    finally:
        process.terminate()
        process.communicate()


def test_the_version_is_the_same_wherever_it_is_named() -> None:
    version = PROJECT["project"]["version"]
    for path, pattern in (
        ("web/package.json", r'^  "version": "(.+)",$'),
        ("CITATION.cff", r"^version: (.+)$"),
        ("docker-compose.yml", r"image: voxelsmith-[\w-]+:(.+)$"),
        ("docker/api.Dockerfile", r"-t voxelsmith-[\w-]+:(\S+)"),
        ("docker/worker.Dockerfile", r"-t voxelsmith-[\w-]+:(\S+)"),
    ):
        assert set(re.findall(pattern, (ROOT / path).read_text(), re.MULTILINE)) == {version}, path
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()
