"""voxelsmith train: the papers' training on a folder of scans."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from training.engine.config import HAGANConfig
from voxelsmith.commands.report import say
from voxelsmith.commands.train_encoder import encoder
from voxelsmith.commands.train_progan import progan
from voxelsmith.commands.train_running import configured, run
from voxelsmith.commands.train_split_shuffle import split_shuffle
from voxelsmith.commands.train_stylegan import stylegan
from voxelsmith.extras import load

app = typer.Typer(help="Train a model; resumes from the last checkpoint in --out.", no_args_is_help=True)
app.command()(progan)
app.command()(stylegan)
app.command()(split_shuffle)
app.command()(encoder)


@app.callback()
def group() -> None:
    """One command per family."""


@app.command()
def hagan(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of scans (and labels.csv).")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Checkpoints, TensorBoard log and the trained model.")],
    name: Annotated[str, typer.Option(help="Of the trained model.")] = "hagan",
    start_from: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Model folder to train on, of the same sizes.")
    ] = None,
    size: Annotated[int, typer.Option(help="Edge of the cube: 32, 64, 128 or 256.")] = 256,
    width: Annotated[int, typer.Option(help="Channels of the last layers; 32 in the paper.")] = 32,
    latent_dim: Annotated[int, typer.Option(help="1024 in the paper.")] = 1024,
    iterations: Annotated[int, typer.Option(help="80000 in the paper.")] = 80_000,
    batch_size: Annotated[int, typer.Option(help="4 in the paper.")] = 4,
    classes: Annotated[str, typer.Option(metavar="NAME,NAME", help="Of a conditional model.")] = "",
    augment: Annotated[Literal["none", "light"], typer.Option(help="Small random changes of each scan.")] = "none",
    device: Annotated[str, typer.Option(metavar="cpu|cuda:N", help="Where to train.")] = "cpu",
    data_workers: Annotated[int, typer.Option(min=0, help="Processes that read scans.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, noise, order and augmentation.")] = 0,
    save_every: Annotated[int, typer.Option(min=1, help="Iterations between checkpoints.")] = 500,
    modality: Annotated[Literal["CT", "MR"], typer.Option(help="CT: window in HU. MR: quantiles of each scan.")] = "CT",
    window: Annotated[tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="Stored values used.")] = None,
    placement: Annotated[
        Literal["stretch", "head"], typer.Option(help="The whole field of view, or a box at the head.")
    ] = "stretch",
    spacing_mm: Annotated[
        tuple[float, float, float], typer.Option("--spacing", metavar="A0 A1 A2", help="Voxel size in mm.")
    ] = (1.0, 1.0, 1.0),
    axes: Annotated[str, typer.Option(help="Where the network's axes point, as axis codes.")] = "SPL",
    trim_blank_slices: Annotated[bool, typer.Option("--trim-blank-slices/--keep-blank-slices")] = True,
) -> None:
    """HA-GAN (Sun et al. 2022), with the paper's losses and, by default, its settings."""
    values: dict[str, Any] = {key: value for key, value in locals().items() if key not in ("classes", "window")}
    values["classes"] = [part.strip() for part in classes.split(",") if part.strip()]
    values["window"] = window or ((-1024.0, 600.0) if modality == "CT" else None)
    run("training.hagan.trainer", configured(HAGANConfig, values))


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
