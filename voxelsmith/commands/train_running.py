"""What the training commands share: options to a configuration, and the run with its progress bar."""

from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model_store.card import CARD, ModelCard
from model_store.reading import parse_card
from training.engine.command_line import flag_of
from training.engine.config import CourseConfig
from voxelsmith.commands import train_data
from voxelsmith.commands.report import say
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


def run(module: str, config: CourseConfig) -> None:
    """Train the family of a module of training; prints the trained model's folder."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[losses]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, losses="")

        def tell(done: int, total: int, losses: dict[str, float]) -> None:
            shown = " ".join(f"{key} {value:.3f}" for key, value in losses.items())
            bar.update(task, completed=done, total=total, losses=shown)

        family = load(module, "train").FAMILY
        folder: Path = load("training.engine.course", "train").train(config, family, tell, train_data.tell)
    say(f"{folder}")
    tell_size(folder)


def tell_size(model: Path) -> None:
    """Of what the model in a folder makes, in mm, and whether that is nominal."""
    card = parse_card(model.name, (model / CARD).read_bytes())
    if isinstance(card, ModelCard):
        sides = " x ".join(f"{side * step:.0f}" for side, step in zip(card.shape, card.spacing_mm, strict=True))
        nominal = " (nominal: the scans' own sizes differ)" if card.spacing_is_nominal else ""
        say(f"its volumes are {sides} mm{nominal}", err=True)
