"""models list, show, verify, remove and import on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from model_store.catalogue import SHIPPED
from tests.support.models.hagan_files import generator_state, save
from tests.support.models.tiny_models import write_tiny_hagan
from voxelsmith.cli import app

Run = Callable[..., Result]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """`tiny` is sound; `cut` has lost the end of its weights."""
    folder = tmp_path / "models"
    write_tiny_hagan(folder, "tiny")
    write_tiny_hagan(folder, "cut")
    weights = folder / "cut" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return folder


@pytest.fixture
def run(models: Path) -> Run:
    def invoke(*args: object, folder: Path = models, **options: object) -> Result:
        words = ["--models", str(folder), "models", *(str(arg) for arg in args)]
        return CliRunner().invoke(app, words, prog_name="voxelsmith", **options)  # type: ignore[arg-type]

    return invoke


def test_list_shows_sound_and_broken_ones(run: Run) -> None:
    text = run("list").stdout
    assert "32x32x32" in text
    assert "truncated" in text
    listed = {entry["name"]: entry for entry in json.loads(run("list", "--json").stdout)}
    assert listed["tiny"]["shape"] == [32, 32, 32]
    assert "truncated" in listed["cut"]["broken"]


def test_show_prints_the_card(run: Run) -> None:
    card = json.loads(run("show", "tiny").stdout)
    assert card["axes"] == "IAL"
    assert card["directions"] == []
    broken = run("show", "cut")
    assert (broken.exit_code, broken.stderr.count("\n")) == (1, 1)


def test_verify_tells_a_changed_file(run: Run, models: Path) -> None:
    assert run("verify", "tiny").exit_code == 0
    assert run("verify").exit_code == 1
    weights = models / "tiny" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    result = run("verify", "tiny", "--json")
    assert result.exit_code == 1
    (entry,) = json.loads(result.stdout)
    assert "does not match" in entry["broken"]


def test_remove_asks_and_deletes_sound_and_broken_ones(run: Run, models: Path) -> None:
    assert run("remove", "tiny", input="n\n").exit_code == 1
    assert (models / "tiny").exists()
    assert run("remove", "tiny", input="y\n").exit_code == 0
    assert run("remove", "cut", "--yes").exit_code == 0
    assert list(models.iterdir()) == []
    assert run("remove", "tiny", "--yes").exit_code == 1


def test_shipped_models_stay(run: Run) -> None:
    shipped = sorted(path.name for path in SHIPPED.glob("[!._]*") if path.is_dir())
    assert shipped
    assert run("remove", shipped[0], "--yes").exit_code == 2
    assert (SHIPPED / shipped[0]).exists()


def test_import_hagan_makes_a_model_that_is_listed(run: Run, models: Path, tmp_path: Path) -> None:
    generator = save(tmp_path / "G_iter80000.pth", generator_state(1024))
    words = ("import", "hagan", "--name", "lungs", "--generator", generator, "--resolution", "128")
    result = run(*words, "--intensity", "-1000", "500", "--modality", "CT", "--json")
    assert result.exit_code == 0, result.output
    card = json.loads(result.stdout)
    assert card["shape"] == [128, 128, 128]
    assert (card["intensity"]["low"], card["intensity"]["high"]) == (-1000, 500)
    assert json.loads(run("show", "lungs").stdout)["files"] == card["files"]
    again = run(*words)
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)
    assert "--force" in again.stderr
    assert run(*words, folder=tmp_path / "new").exit_code == 0, "an import makes the model folder"
    assert (tmp_path / "new" / "lungs" / "card.json").exists()


def test_an_ambiguous_size_names_the_option(run: Run, tmp_path: Path) -> None:
    generator = save(tmp_path / "G_iter80000.pth", generator_state(1024))
    result = run("import", "hagan", "--name", "lungs", "--generator", generator)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "--resolution" in result.stderr


def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(run: Run, models: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    result = run("import", "hagan", "--name", "bad", "--generator", tmp_path / "bad.pth", "--resolution", "128")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert not (models / "bad").exists()


def test_without_a_folder_models_go_to_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("VOXELSMITH_MODELS_URL", raising=False)
    write_tiny_hagan(tmp_path / "voxelsmith" / "models", "tiny")
    names = [entry["name"] for entry in json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).stdout)]
    assert "tiny" in names
