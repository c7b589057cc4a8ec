"""voxelsmith train encoder."""

from pathlib import Path
from typing import Annotated

import typer

from voxelsmith.commands import train_options as options
from voxelsmith.commands.train_running import configured, run
from voxelsmith.extras import load


def encoder(
    model: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of a progan or stylegan model.")],
    data: options.Data,
    out: options.Out,
    name: Annotated[str | None, typer.Option(help="Of the model with its encoder; the model's own without it.")] = None,
    iterations: Annotated[int, typer.Option(help="Updates of the encoder.")] = 10_000,
    batch_size: Annotated[int, typer.Option(help="Scans in each of them.")] = 3,
    learning_rate: Annotated[float, typer.Option(help="0.003 in the paper.")] = 3e-3,
    augment: options.Augment = "none",
    device: options.Device = "cpu",
    data_workers: options.DataWorkers = 0,
    seed: options.Seed = 0,
    save_every: options.SaveEvery = 500,
) -> None:
    """Give a trained ProGAN or StyleGAN the encoder of the bone paper; scans come to it as its card says."""
    values = dict(locals()) | {"name": name or model.resolve().name}
    run("training.progressive.encoder", configured(load("training.progressive.config", "train").EncoderConfig, values))
