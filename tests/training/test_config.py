"""What a training run cannot be is said before any scan is read, naming the option."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from typer.testing import CliRunner

from training.hagan.card import card_of
from training.hagan.config import HAGANConfig
from training.progressive.config import EncoderConfig
from voxelsmith.cli import app

NOT_OF_THIS_MACHINE = f"cuda:{torch.cuda.device_count() if torch.cuda.is_available() else 0}"
UNFIT = [
    ("--name", ["My Lung"]),
    ("--name", ["lung."]),
    ("--name", ["config.json"]),
    ("--axes", ["SSS"]),
    ("--axes", ["RLA"]),
    ("--axes", ["spl"]),
    ("--window", ["0", "0"]),
    ("--window", ["600", "-1024"]),
    ("--window", ["nan", "5"]),
    ("--window", ["0", "inf"]),
    ("--window", ["0", "1"]),
    ("--device", ["foo"]),
    ("--device", ["cuda:"]),
    ("--device", [NOT_OF_THIS_MACHINE]),
    ("--spacing", ["inf", "1", "1"]),
]


@pytest.mark.parametrize(("option", "values"), UNFIT)
@pytest.mark.parametrize("family", ["hagan", "progan", "split-shuffle"])
def test_an_option_that_makes_no_model_is_named(tmp_path: Path, family: str, option: str, values: list[str]) -> None:
    """An empty folder of scans would be refused next."""
    (tmp_path / "scans").mkdir()
    folders = ["--data", str(tmp_path / "scans"), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, ["train", family, *folders, option, *values])
    assert done.exit_code == 2, done.output
    assert f"{option}: " in done.stderr
    assert "Value error" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"name": "Mine Too"}, {"device": "foo"}])
def test_an_encoders_run_is_held_to_the_same(changes: dict[str, Any]) -> None:
    places = {"data": Path(), "out": Path(), "model": Path(), "name": "mine"}
    EncoderConfig.model_validate(places)
    with pytest.raises(ValidationError):
        EncoderConfig.model_validate({**places, **changes})


@pytest.mark.parametrize("axes", ["SPL", "RAS", "IAL"])
def test_axes_of_either_direction_are_taken(axes: str) -> None:
    assert HAGANConfig(data=Path(), out=Path(), axes=axes).axes == axes


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        ({"modality": "CT"}, (-1024.0, 600.0, "HU")),
        ({"modality": "MR", "window": (0.0, 1000.0)}, (0.0, 1000.0, "a.u.")),
        ({"modality": "PT", "window": (0.0, 20.0), "units": "SUV"}, (0.0, 20.0, "SUV")),
        ({"modality": "MR", "window": None}, (0.0, 255.0, "a.u.")),
    ],
)
def test_a_card_has_the_units_of_its_modality_and_window(
    changes: dict[str, Any], stored: tuple[float, float, str]
) -> None:
    config = HAGANConfig.model_validate({"data": Path(), "out": Path(), **changes})
    card = card_of(config, 1, 1)
    assert (card.intensity.low, card.intensity.high, card.intensity.units) == stored
    assert card.preprocess.window == config.window
