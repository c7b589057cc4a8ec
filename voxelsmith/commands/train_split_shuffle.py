"""voxelsmith train split-shuffle."""

from typing import Annotated, Literal

import typer

from voxelsmith.commands import train_options as options
from voxelsmith.commands.train_running import configured, run
from voxelsmith.extras import load

Shape = Annotated[tuple[int, int, int], typer.Option(metavar="S0 S1 S2", help="Of the volumes, along A0, A1, A2.")]
Variant = Annotated[
    Literal["baseline", "split", "split-shuffle"],
    typer.Option(help="Plain StyleGAN2 in 3D, two branches that never meet, or the paper's two branches shuffled."),
]
Strategy = Annotated[
    Literal["inflate-1", "inflate-2", "inflate-3", "inflate-asc", "inflate-nwi"],
    typer.Option(help="How 2D weights become 3D ones (eq. 3 to 7)."),
]


def split_shuffle(
    data: options.Data,
    out: options.Out,
    name: options.Name = "split-shuffle",
    shape: Shape = (64, 64, 64),
    doublings: Annotated[int, typer.Option(help="From the constant to the volume; 4 in the paper.")] = 4,
    channels: Annotated[int, typer.Option(help="Of every layer; 32 in the paper.")] = 32,
    variant: Variant = "split-shuffle",
    z_dim: Annotated[int, typer.Option(help="64 in the paper.")] = 64,
    w_dim: Annotated[int, typer.Option(help="64 in the paper.")] = 64,
    iterations: Annotated[int, typer.Option(help="On volumes; 39063 in the paper.")] = 39_063,
    batch_size: Annotated[int, typer.Option(help="128 in the paper.")] = 128,
    pretrain_2d: Annotated[int, typer.Option(help="Iterations on slices before; 195313 in the paper, 0: none.")] = 0,
    inflation: Strategy = "inflate-1",
    learning_rate: Annotated[
        float | None, typer.Option(help="0.0025, or 0.002 after inflation, where not given.")
    ] = None,
    r1_weight: Annotated[float, typer.Option(help="gamma; 0.0512 in the paper.")] = 0.0512,
    path_length_weight: Annotated[float, typer.Option(help="2 in StyleGAN2; 0: no path length penalty.")] = 2.0,
    augment: options.Augment = "none",
    device: options.Device = "cpu",
    data_workers: options.DataWorkers = 0,
    seed: options.Seed = 0,
    save_every: options.SaveEvery = 500,
    modality: options.Modality = "CT",
    window: options.Window = None,
    placement: options.Placement = "stretch",
    spacing_mm: options.Spacing = (1.0, 1.0, 1.0),
    axes: options.Axes = "SPL",
    trim_blank_slices: options.TrimBlankSlices = True,
) -> None:
    """Split&Shuffle-GAN (Liu et al. 2022), by default with the paper's settings, without its 2D pre-training."""
    values = options.read(dict(locals()))
    run(
        "training.split_shuffle.trainer",
        configured(load("training.split_shuffle.config", "train").SplitShuffleConfig, values),
    )
