"""The options of the training commands are the settings of their configurations, each written once."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from training.engine.config import CourseConfig
from training.hagan.config import HAGANConfig
from training.progressive.config import EncoderConfig, ProGANConfig, StyleGANConfig
from training.split_shuffle.config import SplitShuffleConfig
from voxelsmith.cli import app

COMMANDS: dict[str, type[CourseConfig]] = {
    "hagan": HAGANConfig,
    "progan": ProGANConfig,
    "stylegan": StyleGANConfig,
    "split-shuffle": SplitShuffleConfig,
    "encoder": EncoderConfig,
}
COURSE = {"data", "out", "name", "title", "licence", "iterations", "batch-size", "skip-unreadable", "augment", "seed",
          "device", "precision", "data-workers", "log-every", "picture-every", "save-every", "keep-every",
          "accumulate"}  # fmt: skip
SCANS = {"modality", "anatomy", "axes", "spacing", "placement", "trim-blank-slices", "keep-blank-slices", "window",
         "units"}  # fmt: skip
OF_ALL = {"help", "resume"}
GROWN = {"start-from", "base", "stages", "channels", "critic-channels", "z-dim", "stage-samples", "critic-steps",
         "learning-rate", "stage-decay", "average"}  # fmt: skip
OWN = {
    "hagan": SCANS | {"start-from", "size", "width", "latent-dim", "classes", "lr-generator", "lr-encoder",
                      "lr-discriminator", "lambda-1", "lambda-2", "lambda-class"},
    "progan": SCANS | GROWN,
    "stylegan": SCANS | GROWN | {"w-dim", "mapping-layers", "mapping-rate"},
    "split-shuffle": SCANS | {"shape", "doublings", "channels", "variant", "z-dim", "w-dim", "pretrain-2d", "inflation",
                              "learning-rate", "learning-rate-2d", "r1-weight", "r1-every", "path-length-weight",
                              "path-length-every", "mixing", "average-images"},
    "encoder": {"model", "learning-rate"},
}  # fmt: skip


def parameters(name: str) -> dict[str, Any]:
    """The command's options by the names of their settings."""
    train: Any = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    return {parameter.name: parameter for parameter in train.commands[name].params if parameter.name not in OF_ALL}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_setting_has_its_option_and_none_changed_its_name(name: str) -> None:
    found = {flag for option in parameters(name).values() for flag in (*option.opts, *option.secondary_opts)}
    assert found == {f"--{flag}" for flag in COURSE | OWN[name]}
    assert set(parameters(name)) == set(COMMANDS[name].model_fields) - {"family"}


@pytest.mark.parametrize("name", COMMANDS)
def test_default_help_and_bounds_are_the_settings_own(name: str) -> None:
    fields = COMMANDS[name].model_fields
    for setting, option in parameters(name).items():
        field = fields[setting]
        assert option.help == field.description
        assert option.help
        assert option.required == field.is_required()
        if not field.is_required():
            assert option.default == (None if field.default_factory else field.default), setting


@pytest.mark.parametrize("name", COMMANDS)
def test_a_number_below_a_settings_bound_is_wrong_use(name: str, tmp_path: Path) -> None:
    required = [f"--{flag}={tmp_path}" for flag in ("data", "out", "model") if flag in COURSE | OWN[name]]
    for setting, field in COMMANDS[name].model_fields.items():
        for low in (part.ge for part in field.metadata if hasattr(part, "ge")):
            option = "--" + setting.replace("_", "-")
            done = CliRunner().invoke(app, ["train", name, *required, f"{option}={int(str(low)) - 1}"])
            assert done.exit_code == 2, setting
            assert option in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_its_configuration_says_of_itself(name: str) -> None:
    train: Any = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    command = train.commands[name]
    said = " ".join(command.help.split())
    assert said == " ".join((inspect.getdoc(COMMANDS[name]) or "").split())
    assert not command.get_short_help_str(200).endswith("et al.")


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({}, None),
        ({"modality": "CT"}, (-1024.0, 600.0)),
        ({"modality": "MR"}, None),
        ({"modality": "MR", "window": (0.0, 900.0)}, (0.0, 900.0)),
        ({"modality": "CT", "window": None}, None),
    ],
)
def test_the_window_follows_the_modality_where_none_is_given(
    changes: dict[str, Any], window: tuple[float, float] | None
) -> None:
    assert HAGANConfig.model_validate({"data": Path(), "out": Path(), **changes}).window == window


def test_classes_are_taken_with_commas_and_an_encoders_model_gives_its_name() -> None:
    config = HAGANConfig.model_validate({"data": Path(), "out": Path(), "classes": "mild, severe,"})
    assert config.classes == ["mild", "severe"]
    assert EncoderConfig.model_validate({"data": Path(), "out": Path(), "model": Path("bones")}).name == "bones"
