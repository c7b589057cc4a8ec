"""The docs are tests: what they name exists, what exists is named, and their examples run as printed."""

import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import nibabel
import numpy as np
import pytest
import typer
from nbclient import NotebookClient
from pydantic import SecretStr

from contract import errors as tree
from contract.state import JobState
from jobs.settings import Settings
from model_store.card import DirectionCard
from service.app import create_app
from service.http.errors import STATUS
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.ready import await_ready
from voxelsmith.cli import app
from voxelsmith.local import Stack

ROOT = Path(__file__).parents[2]
ROOT_DOCS = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")]
DOCS = [*ROOT_DOCS, *sorted((ROOT / "docs").glob("*.md"))]
HTTP = (ROOT / "docs" / "http.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS: Any = typer.main.get_command(app)


def blocks(path: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(path.read_text()) if found == language]


# -- routes, settings, codes -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """(method, path template) of every route in the schema."""
    store = tmp_path_factory.mktemp("store").as_uri()
    paths = create_app(Settings(store_url=store)).openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_the_table_of_calls_is_the_schema(routes: set[tuple[str, str]]) -> None:
    listed = set(re.findall(r"^\| `(GET|POST|DELETE) (/\S*)` \|", HTTP, re.MULTILINE))
    assert listed == routes


def test_every_call_that_the_docs_name_exists(routes: set[tuple[str, str]]) -> None:
    known = [(method, re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path))) for method, path in routes]
    plain = {"/docs", "/openapi.json", "/"}
    for path in DOCS:
        for method, address in re.findall(r"\b(GET|POST|DELETE) (/[^\s`?,]*)", path.read_text()):
            exists = address in plain or any(m == method and p.fullmatch(address) for m, p in known)
            assert exists, f"{path.name}: {method} {address}"


def test_every_setting_is_documented_with_its_default_and_no_other_is_named() -> None:
    rows = dict(re.findall(r"^\| `VOXELSMITH_(\w+)` \| (.+?) \|", (ROOT / "docs" / "settings.md").read_text(), re.M))
    assert {name.lower() for name in rows} == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = {"": "none"}.get(value, f"`{str(value).lower() if isinstance(value, bool) else value}`")
        assert rows[name.upper()] == shown
    for path in [*DOCS, *sorted((ROOT / "docs" / "decisions").glob("*.md"))]:
        for name in re.findall(r"VOXELSMITH_([A-Z_]+[A-Z])", path.read_text()):
            assert name.lower() in Settings.model_fields, f"{path.name}: VOXELSMITH_{name}"


def test_every_error_code_is_documented_under_its_status() -> None:
    rows = {
        int(status): set(re.findall(r"`(\w+)`", codes))
        for status, codes in re.findall(r"^\| (\d{3}) \| (.+) \|$", HTTP, re.M)
    }
    answered = {
        (status, cls.code)
        for cls, status in STATUS.items()
        if cls is not tree.VoxelsmithError and (not issubclass(cls, tree.JobFailure) or cls is tree.ModelBroken)
    }
    assert {
        (status, code) for status, codes in rows.items() for code in codes if code not in ("Retry", "After")
    } == answered
    ending = HTTP[HTTP.index("A job that fails carries") :]
    of_jobs = {cls.code for cls in STATUS if issubclass(cls, tree.JobFailure)}
    assert of_jobs <= set(re.findall(r"`(\w+)`", ending))


def test_states_are_documented() -> None:
    line = next(line for line in HTTP.splitlines() if line.startswith("States:"))
    assert re.findall(r"`(\w+)`", line) == [state.value for state in JobState]


# -- commands --------------------------------------------------------------------------------------------------------


def commands(command: Any, trail: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its words."""
    below = getattr(command, "commands", None)
    if below is None:
        yield trail, command
        return
    for name, child in below.items():
        yield from commands(child, (*trail, name))


def named_commands(text: str) -> Iterator[list[str]]:
    """The words of every `voxelsmith ...` in a text, in examples and in sentences."""
    joined = text.replace("\\\n", " ")
    for found in itertools.chain(
        re.findall(r"^(?:\S*/)?voxelsmith ([a-z-].*)$", joined, re.MULTILINE),
        re.findall(r"`voxelsmith ([^`]+)`", joined),
    ):
        yield found.split()


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    missing = [" ".join(words) for words, _ in commands(COMMANDS) if f"voxelsmith {' '.join(words)}" not in text]
    assert not missing


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_and_option_that_the_docs_name_exists(path: Path) -> None:
    for words in named_commands(path.read_text()):
        command, rest = COMMANDS, list(words)
        while rest and hasattr(command, "commands") and rest[0] in command.commands:
            command = command.commands[rest.pop(0)]
        is_group = hasattr(command, "commands")
        assert not is_group or not rest or rest[0] in ("COMMAND", "--help"), f"voxelsmith {' '.join(words)}"
        options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {"--help"}
        assert {word for word in rest if word.startswith("--")} <= options, f"voxelsmith {' '.join(words)}"


def test_every_option_that_cli_md_explains_exists() -> None:
    known = {o for _, command in commands(COMMANDS) for p in command.params for o in (*p.opts, *p.secondary_opts)}
    known |= {option for param in COMMANDS.params for option in param.opts} | {"--help"}
    assert set(re.findall(r"--[a-z][a-z0-9-]+", (ROOT / "docs" / "cli.md").read_text())) <= known


def test_every_make_target_that_the_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCS:
        assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", path.read_text(), re.MULTILINE)) <= targets


# -- files -----------------------------------------------------------------------------------------------------------


def test_every_dependency_is_explained_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[<>=\[]", line)[0].lower() for line in asked} - {"voxelsmith"}
    explained = re.findall(r"^\| ([\w-]+) \|", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    assert {name.lower() for name in explained} - {"package"} == names


def test_every_link_and_picture_leads_to_a_file() -> None:
    for path in [*DOCS, *sorted((ROOT / "docs" / "decisions").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert target.startswith("http") or (path.parent / target).exists(), f"{path.name}: {target}"


def test_decisions_are_numbered_without_gaps_and_name_their_enforcer() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text()
        assert re.match(rf"# 0*{int(record.name[:4])}[.:] ", text), record.name
        assert all(part in text for part in ("**Decision.**", "**Why.**", "**Enforced by**")), record.name
        for name in re.findall(r"`((?:tests|jobs|volumes|voxelsmith)/[\w/]+\.py)`", text):
            assert (ROOT / name).exists(), f"{record.name}: {name}"


def test_the_index_of_decisions_has_every_one_by_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    rows = re.findall(r"^\| \[(\d+)\]\((.+)\) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE)
    titles = {path.name: re.match(r"# (\d+)[.:] (.+)", path.read_text()) for path in folder.glob("[0-9]*.md")}
    assert sorted(rows) == sorted((found[1], name, found[2].strip()) for name, found in titles.items() if found)


def test_the_files_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = {
        name
        for name in re.findall(r"`([\w/.-]+(?:\.py|\.md|\.toml|\.txt|/))`", text)
        if "NAME" not in name and "/" in name
    }
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).exists()]


# -- examples --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Path]]:
    """A service whose brain-demo-256 is a tiny model with a direction, and a folder with scan.nii.gz."""
    folder = tmp_path_factory.mktemp("docs")
    card = write_tiny_hagan(folder / "models", "brain-demo-256")
    direction = DirectionCard(
        name="head-size", method="sefa", vector=[1.0] + [0.0] * 7, std=1.0, model_sha256=card.sha256
    )
    (folder / "models" / "brain-demo-256" / "directions").mkdir()
    (folder / "models" / "brain-demo-256" / "directions" / "head-size.json").write_text(direction.model_dump_json())
    nibabel.Nifti1Image(np.arange(4096, dtype=np.int16).reshape(16, 16, 16), np.eye(4)).to_filename(
        folder / "scan.nii.gz"
    )
    with Stack(folder / "data", Settings(models_url=str(folder / "models"), port=0, threads=1)) as stack:
        await_ready(stack.url)
        yield stack, folder


def run_shell(script: str, stack: Stack, folder: Path) -> str:
    """A script of the docs, its server's address apart as printed; every line of it has to succeed."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "VOXELSMITH_MODELS_URL": stack.settings.models_url,
        "VOXELSMITH_THREADS": "1",
    }
    address = script.replace("http://127.0.0.1:8000", stack.url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", address],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(240)
@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs" / "http.md"], ids=lambda path: path.name)
def test_curl_examples_run_as_printed(shop: tuple[Stack, Path], path: Path) -> None:
    script = "\n".join(block for block in blocks(path, "bash") if "curl" in block)
    output = run_shell(script, *shop)
    assert '"code"' not in output.replace('"code":null', "")
    assert '"state":"succeeded"' in output
    assert '"state":"failed"' not in output


def test_the_python_examples_run_as_printed(shop: tuple[Stack, Path]) -> None:
    stack, folder = shop
    examples = [block for name in ("README.md", "docs/python.md") for block in blocks(ROOT / name, "python")]
    (folder / "example.py").write_text("".join(examples).replace("http://127.0.0.1:8000", stack.url))
    run_shell("python example.py", stack, folder)
    assert (folder / "moved" / "001.nii.gz").exists()


@pytest.mark.slow
def test_the_notebook_runs_as_printed(shop: tuple[Stack, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    stack, folder = shop
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("IPYTHONDIR", str(folder))
    text = (ROOT / "docs" / "notebooks" / "first-steps.ipynb").read_text()
    notebook = nbformat.reads(text.replace("http://127.0.0.1:8000", stack.url), as_version=4)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("image/png" in data for data in shown) == 5, "a job, an encode on two grids, and two stops of an edit"
    assert sum("application/vnd.jupyter.widget-view+json" in data for data in shown) == 1
    assert (folder / "made" / "provenance.json").exists()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(ROOT / "README.md", id="README.md"),
        pytest.param(ROOT / "docs" / "cli.md", id="cli.md", marks=pytest.mark.slow),
    ],
)
def test_command_examples_run_as_printed(shop: tuple[Stack, Path], path: Path) -> None:
    """Those that end by themselves; `serve`, its roles and the demo have tests of their own."""
    lines = [line for block in blocks(path, "bash") for line in block.splitlines() if line.startswith("voxelsmith ")]
    lasting = ("serve", "api", "worker", "demo")
    run_shell("\n".join(line for line in lines if line.split()[1] not in lasting), *shop)
