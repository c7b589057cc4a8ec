"""voxelsmith train stylegan, then train encoder: what they write is a model; options that do not fit are named."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from model_store.card import ModelCard
from model_store.load import load
from voxelsmith.cli import app

SMALL = ["--base", "1", "2", "1", "--stages", "2", "--channels", "2", "--critic-channels", "2", "--z-dim", "4",
         "--stage-samples", "2", "--batch-size", "1", "--critic-steps", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    array = np.random.default_rng(0).integers(0, 400, (8, 9, 7)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), folder / "scan.nii.gz")
    return folder


def test_a_model_is_trained_and_given_an_encoder(scans: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    common = ["--data", str(scans), "--modality", "MR", "--keep-blank-slices"]
    done = run(app, ["train", "stylegan", *common, "--out", str(tmp_path / "run"), "--w-dim", "6", *SMALL])
    assert done.exit_code == 0, done.output
    model = tmp_path / "run" / "stylegan"
    options = ["--data", str(scans), "--out", str(tmp_path / "encoder"), "--iterations", "1", "--batch-size", "1"]
    done = run(app, ["train", "encoder", "--model", str(model), *options])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "encoder" / "stylegan") in done.output
    folder = tmp_path / "encoder" / "stylegan"
    card = ModelCard.model_validate_json((folder / "card.json").read_bytes())
    assert card.shape == (4, 8, 4)
    assert card.provenance.iterations == {"adversarial": 5, "encoder": 1}
    assert card.has_encoder
    assert load(folder, card).style_matrices()[0].shape == (4, 6)


@pytest.mark.parametrize(("option", "value"), [("--stages", "0"), ("--batch-size", "0"), ("--learning-rate", "0")])
def test_an_option_that_does_not_fit_is_named(scans: Path, tmp_path: Path, option: str, value: str) -> None:
    done = CliRunner().invoke(
        app, ["train", "progan", "--data", str(scans), "--out", str(tmp_path / "run"), option, value]
    )
    assert done.exit_code == 2
    assert option in done.output
    assert not (tmp_path / "run").exists()
