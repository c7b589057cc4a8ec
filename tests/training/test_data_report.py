"""What is told of a data folder before training, and the size in mm that a trained model has."""

import json
import shlex
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from model_store.card import ModelCard
from training.engine.errors import DataRefused
from training.engine.modality import modality_of, sequences_in
from training.engine.survey import survey
from voxelsmith.cli import app

TINY = ["--base", "1", "2", "1", "--stages", "2", "--channels", "2", "--critic-channels", "2", "--z-dim", "4",
        "--stage-samples", "4", "--batch-size", "1", "--critic-steps", "1", "--iterations", "1"]  # fmt: skip


def write(path: Path, low: int, high: int, seed: int = 0, spacing: tuple[float, ...] = (2.0, 2.5, 3.0)) -> None:
    """Evenly spread whole numbers, 9 x 12 x 8 voxels."""
    path.parent.mkdir(exist_ok=True)
    array = np.random.default_rng(seed).integers(low, high, (9, 12, 8)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


def test_ct_and_mr_are_told_by_their_values_and_a_mixture_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "ct" / "a.nii", -1000, 500)
    write(tmp_path / "mr" / "a.nii", 0, 900)
    assert modality_of(survey(tmp_path / "ct")) == "CT"
    assert modality_of(survey(tmp_path / "mr")) == "MR"
    write(tmp_path / "mr" / "b.nii", -1000, 500)
    with pytest.raises(DataRefused, match=r"mixes .*MR \(a\.nii\).*type --modality CT or --modality MR"):
        modality_of(survey(tmp_path / "mr"))
    write(tmp_path / "odd" / "a.nii", -5, 5)
    with pytest.raises(DataRefused, match="type --modality CT if"):
        modality_of(survey(tmp_path / "odd"))


def test_sequences_are_told_by_the_names() -> None:
    names = ["sub-1_T1w.nii.gz", "sub-1_FLAIR.nii.gz", "sub-2_acq_t2_flair.nii", "ct.nii", "scan.nii"]
    assert sequences_in(names) == {"T1": names[:1], "FLAIR": names[1:3], "CT": [names[3]]}


def test_check_tells_of_twins_unreadable_and_other_files_and_draws(tmp_path: Path) -> None:
    data, picture = tmp_path / "data", tmp_path / "look.png"
    write(data / "a_T1.nii", 0, 900)
    write(data / "b_T2.nii.gz", 0, 900)
    write(data / "wide.nii", 0, 900, 1, (9.0, 2.5, 3.0))
    (data / "broken.nii").write_bytes(b"none")
    holes = np.full((9, 12, 8), np.nan, dtype=np.float32)
    holes[:, 3:] = np.random.default_rng(2).integers(0, 900, (9, 9, 8))
    nib.save(nib.Nifti1Image(holes, np.diag([2.0, 2.5, 3.0, 1.0])), data / "holes.nii")
    nib.save(nib.Nifti1Image(np.ones((9, 12, 8), np.int16), np.eye(4)), data / "one_value.nii")
    done = CliRunner().invoke(app, ["train", "check", str(data), "--picture", str(picture)])
    assert done.exit_code == 0, done.stderr
    for told in ("4 scans can be used, 2 cannot", "skipped broken.nii:", "skipped one_value.nii: The scan has the same",
                 "holes.nii: 25.0% of its voxels are no numbers", "the same voxels: a_T1.nii, b_T2.nii.gz",
                 "several kinds: T1 (a_T1.nii) and T2", "wide.nii shows another field of view",
                 "taken as MR"):  # fmt: skip
        assert told in done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    shown = json.loads(CliRunner().invoke(app, ["train", "check", str(data), "--json"]).stdout)
    assert shown["scans"][0]["extent_mm"] == [18.0, 30.0, 24.0]


def test_a_folder_of_folders_is_told_that_they_are_not_looked_into(tmp_path: Path) -> None:
    write(tmp_path / "sub-1" / "a.nii", 0, 900)
    with pytest.raises(DataRefused, match="in the data folder; those in folders below it are not taken"):
        survey(tmp_path)


def test_a_window_that_cuts_nearly_everything_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.nii", 700, 900)
    done = CliRunner().invoke(app, ["train", "check", str(tmp_path / "data"), "--modality", "CT"])
    assert done.exit_code == 1
    assert "cuts off 100% of the scans' values" in done.stderr
    assert "type --window LOW HIGH" in done.stderr


def train(data: Path, out: Path, *more: str) -> ModelCard:
    done = CliRunner().invoke(app, ["train", "progan", "--data", str(data), "--out", str(out), *TINY, *more])
    assert done.exit_code == 0, done.stderr
    return ModelCard.model_validate_json((out / "progan" / "card.json").read_bytes())


def test_a_trained_model_has_the_scans_size_in_mm_and_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("SCANS") / "a.nii", 0, 900)
    card = train(Path("SCANS"), tmp_path / "first", "--title", "What it's called", "--keep-blank-slices")
    # S, P, L: 24 mm over 4 voxels, 30 over 8, 18 over 4
    assert card.spacing_mm == (6.0, 3.75, 4.5)
    assert (card.modality, card.spacing_is_nominal, card.title) == ("MR", False, "What it's called")
    assert card.provenance.software_version
    done = CliRunner().invoke(app, shlex.split(card.provenance.command)[1:])
    assert done.exit_code == 0, done.stderr
    assert Path("RUN/progan/card.json").read_text() == (tmp_path / "first" / "progan" / "card.json").read_text()
    assert "18 mm" in done.stderr
    write(Path("SCANS") / "b.nii", 0, 900, 1, (4.0, 2.5, 3.0))
    mixed = train(Path("SCANS"), tmp_path / "second", "--keep-blank-slices")
    assert mixed.spacing_mm == (6.0, 3.75, 6.75)
    assert mixed.spacing_is_nominal


def test_a_box_at_the_head_holds_the_field_of_view(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    array = np.zeros((40, 40, 40), np.int16)
    array[5:35, 5:35, 3:36] = np.random.default_rng(0).integers(200, 900, (30, 30, 33))
    nib.save(nib.Nifti1Image(array, np.diag([6.0, 6.0, 6.0, 1.0])), data / "head.nii")
    card = train(data, tmp_path / "run", "--placement", "head")
    assert card.spacing_mm == (60.0, 60.0, 60.0)
    assert not card.spacing_is_nominal
