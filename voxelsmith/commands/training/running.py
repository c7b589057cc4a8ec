"""What the training commands share: options to a configuration, a run and how it goes on, a model of its checkpoint."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import ValidationError

from model_store.card import CARD, NAME_RULE, ModelCard, is_name
from model_store.reading import parse_card
from training.engine.command_line import asked, flag_of
from training.engine.config import CHECKPOINT, CourseConfig
from volumes.orientation import in_ras_order
from voxelsmith.commands.told.report import say
from voxelsmith.commands.training import data
from voxelsmith.commands.training.options import stored_options
from voxelsmith.commands.training.progress import shown_progress
from voxelsmith.extras import load, require

Config = TypeVar("Config", bound=CourseConfig)


def configured(kind: type[Config], values: dict[str, Any]) -> Config:
    """The run's configuration. Raises: typer.BadParameter, naming the option that does not fit."""
    require("torch", "train")
    try:
        return kind.model_validate(values)
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        option = flag_of(kind, str(first["loc"][0]))
        raise typer.BadParameter(f"{option}: {first['msg'].removeprefix('Value error, ')}") from err


def continued(kind: type[CourseConfig], out: Path, typed: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that goes on. Raises: typer.BadParameter, naming an option that it does not take."""
    stored = stored_options(out)
    family = stored.get("family")
    if not set(stored) <= set(kind.model_fields) or family not in (None, kind.model_fields["family"].default):
        raise typer.BadParameter(f"--resume: the run in {out} is of another family" + (f", {family}" if family else ""))
    for name, value in typed.items():
        if not asked(kind.model_fields[name]).may_change and name in stored and str(stored[name]) != str(value):
            raise typer.BadParameter(
                f"{flag_of(kind, name)}: the run in {out} began with {stored[name]}, and goes on with it; "
                "leave the option out, or begin another run"
            )
    return stored | typed | {"out": out}


def family_of(out: Path, families: Mapping[str, tuple[type[CourseConfig], str]]) -> tuple[type[CourseConfig], str]:
    """Whose run lies in a folder. Older runs do not say it, but their settings do.

    Raises:
        typer.BadParameter: of no family.
    """
    stored = stored_options(out)
    named = families.get(str(stored.get("family")))
    fitting = (row for row in families.values() if set(stored) and set(stored) <= set(row[0].model_fields))
    found = named or next(fitting, None)
    if found is None:
        raise typer.BadParameter(f"the run in {out} is of no family that is trained here")
    return found


def kept_options(out: Path) -> dict[str, Any]:
    """The settings of the run in a folder, wherever it lies now, for a machine of any kind."""
    return stored_options(out) | {"out": out, "device": "cpu"}


def export_model(module: str, config: CourseConfig, checkpoint: Path | None, out: Path | None) -> Path:
    """A model of a run's checkpoint; returns its folder. Raises: typer.BadParameter, for an --out that is taken."""
    folder = out or config.out / config.name
    if out is not None and out.exists():
        raise typer.BadParameter(f"--out: {out} is there")
    if not is_name(folder.name):
        raise typer.BadParameter(f"--out: {NAME_RULE}")
    course = load("training.engine.course", "train")
    course.export_checkpoint(config, load(module, "train").FAMILY, checkpoint or config.out / CHECKPOINT, folder)
    tell_size(folder)
    return folder


def run(module: str, config: CourseConfig) -> None:
    """Train the family of a module of training; prints the trained model's folder."""
    family = load(module, "train").FAMILY
    course = load("training.engine.course", "train")
    try:
        with shown_progress() as progress:
            folder: Path = course.train(config, family, progress, data.tell)
    except course.StoppedError as stop:
        _tell_how_to_go_on(config, stop)
        raise typer.Exit(128 + stop.number) from None
    say(f"{folder}")
    tell_size(folder)


def _tell_how_to_go_on(config: CourseConfig, stop: Exception) -> None:
    """In commands that can be typed as they are printed."""
    out, family = shlex.quote(str(config.out)), type(config).model_fields["family"].default
    say(f"{stop}", err=True)
    say(f"go on:          voxelsmith train {family} --resume {out}", err=True)
    say(f"make a model:   voxelsmith train export {out}", err=True)


def tell_size(model: Path) -> None:
    """Of what the model in a folder makes, in mm, and whether that is nominal."""
    card = parse_card(model.name, (model / CARD).read_bytes())
    if isinstance(card, ModelCard):
        sides = [side * step for side, step in zip(card.shape, card.spacing_mm, strict=True)]
        told = "{:.0f} mm across, {:.0f} deep, {:.0f} high".format(*in_ras_order(sides, card.axes))
        nominal = " (nominal: the scans' own sizes differ)" if card.spacing_is_nominal else ""
        say(f"its volumes are {told}{nominal}", err=True)
