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
from voxelsmith.commands.told.report import say
from voxelsmith.commands.training import data
from voxelsmith.commands.training.options import command
from voxelsmith.commands.training.running import configured, continued, export_model, family_of, kept_options, run
from voxelsmith.extras import load

FAMILIES: dict[str, tuple[type[CourseConfig], str]] = {
    "hagan": (HAGANConfig, "training.hagan.trainer"),
    "progan": (ProGANConfig, "training.progressive.trainer"),
    "stylegan": (StyleGANConfig, "training.progressive.trainer"),
    "split-shuffle": (SplitShuffleConfig, "training.split_shuffle.trainer"),
    "megan": (MEGANConfig, "training.megan.trainer"),
    "encoder": (EncoderConfig, "training.progressive.encoder"),
}
"""What each command trains: its settings, and the module of its family."""


def _training(name: str) -> Callable[..., None]:
    """The command that trains a family."""
    kind, module = FAMILIES[name]

    def train(values: dict[str, Any], resumed: Path | None) -> None:
        run(module, configured(kind, values if resumed is None else continued(kind, resumed, values)))

    return command(name, kind, train)


app = typer.Typer(help="Train a model; resumes from the last checkpoint in --out.", no_args_is_help=True)
app.command()(_training("hagan"))
app.command()(_training("progan"))
app.command()(_training("stylegan"))
app.command()(_training("split-shuffle"))
app.command()(_training("megan"))
app.command()(_training("encoder"))
app.command()(data.check)


@app.callback()
def group() -> None:
    """One command per family."""


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", exists=True, file_okay=False, help="A run's --out.")],
    checkpoint: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="One that --keep-every kept; without it the last.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="The model's folder, named like it; without it the run's own.")
    ] = None,
) -> None:
    """Make a model of a run's checkpoint, also while it runs."""
    kind, module = family_of(run_folder, FAMILIES)
    say(f"{export_model(module, configured(kind, kept_options(run_folder)), checkpoint, out)}")


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
