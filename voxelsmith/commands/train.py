"""voxelsmith train: the papers' training on a folder of scans."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from training.engine.config import CourseConfig
from training.hagan.config import HAGANConfig
from training.megan.config import MEGANConfig
from training.progressive.config import EncoderConfig, ProGANConfig, StyleGANConfig
from training.split_shuffle.config import SplitShuffleConfig
from voxelsmith.commands import train_data
from voxelsmith.commands.report import say
from voxelsmith.commands.train_options import command
from voxelsmith.commands.train_running import configured, run
from voxelsmith.extras import load


def _training(name: str, kind: type[CourseConfig], module: str) -> Callable[..., None]:
    """The command that trains the family of a module."""

    def train(values: dict[str, Any]) -> None:
        run(module, configured(kind, values))

    return command(name, kind, train)


hagan = _training("hagan", HAGANConfig, "training.hagan.trainer")
progan = _training("progan", ProGANConfig, "training.progressive.trainer")
stylegan = _training("stylegan", StyleGANConfig, "training.progressive.trainer")
split_shuffle = _training("split-shuffle", SplitShuffleConfig, "training.split_shuffle.trainer")
megan = _training("megan", MEGANConfig, "training.megan.trainer")
encoder = _training("encoder", EncoderConfig, "training.progressive.encoder")

app = typer.Typer(help="Train a model; resumes from the last checkpoint in --out.", no_args_is_help=True)
app.command()(hagan)
app.command()(progan)
app.command()(stylegan)
app.command()(split_shuffle)
app.command()(megan)
app.command()(encoder)
app.command()(train_data.check)


@app.callback()
def group() -> None:
    """One command per family."""


@app.command()
def phantoms(
    out: Annotated[Path, typer.Option(file_okay=False, help="Where the scans and labels.csv go.")],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the first one.")] = 0,
) -> None:
    """Make thorax phantoms in HU, with severity class, lung volume and bone volume in labels.csv, to train on."""
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("phantoms", total=count)
        dataset = load("training.phantoms.dataset", "train")
        dataset.write_dataset(out, count, seed, on_written=lambda done, _total: bar.update(task, completed=done))
    say(f"{out}")
