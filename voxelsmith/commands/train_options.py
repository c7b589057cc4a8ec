"""Options that several training commands have."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Data = Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of scans.")]
Out = Annotated[Path, typer.Option(file_okay=False, help="Checkpoints, TensorBoard log and the trained model.")]
Name = Annotated[str, typer.Option(help="Of the trained model.")]
StartFrom = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="Model folder to train on, of the same sizes.")
]
Augment = Annotated[Literal["none", "light"], typer.Option(help="Small random changes of each scan.")]
Device = Annotated[str, typer.Option(metavar="cpu|cuda:N", help="Where to train.")]
DataWorkers = Annotated[int, typer.Option(min=0, help="Processes that read scans.")]
Seed = Annotated[int, typer.Option(min=0, help="Of weights, noise, order and augmentation.")]
SaveEvery = Annotated[int, typer.Option(min=1, help="Iterations between checkpoints.")]
Modality = Annotated[Literal["CT", "MR"], typer.Option(help="CT: window in HU. MR: quantiles of each scan.")]
Window = Annotated[tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="Stored values used.")]
Placement = Annotated[Literal["stretch", "head"], typer.Option(help="The whole field of view, or a box at the head.")]
Spacing = Annotated[tuple[float, float, float], typer.Option("--spacing", metavar="A0 A1 A2", help="Voxel size in mm.")]
Axes = Annotated[str, typer.Option(help="Where the network's axes point, as axis codes.")]
TrimBlankSlices = Annotated[bool, typer.Option("--trim-blank-slices/--keep-blank-slices")]

Base = Annotated[
    tuple[int, int, int], typer.Option(metavar="B0 B1 B2", help="Grid that the stages double; 1 9 7 in the paper.")
]
Stages = Annotated[int, typer.Option(help="5 in the paper: the volume is the base times 32.")]
Channels = Annotated[int, typer.Option(help="c, of the generator's last stage; 16 or 20 in the paper.")]
CriticChannels = Annotated[int, typer.Option(help="c of the critic; 12 to 20 in the paper.")]
ZDim = Annotated[int, typer.Option(help="512 in the paper.")]
StageSamples = Annotated[int, typer.Option(help="Scans that the critic sees in each half stage; 180000 in the paper.")]
Iterations = Annotated[int, typer.Option(help="Generator updates after which to stop; 0: when the schedule ends.")]
BatchSize = Annotated[int, typer.Option(help="Of the last stage; earlier ones have up to 8 times as much.")]
CriticSteps = Annotated[int, typer.Option(help="Critic updates for each one of the generator; 5 to 8 in the paper.")]
LearningRate = Annotated[float, typer.Option(help="On the first stage; 0.002 to 0.006 in the paper.")]


def read(values: dict[str, Any]) -> dict[str, Any]:
    """The configuration's fields from a command's options: the window follows the modality where none is given."""
    window = values["window"] or ((-1024.0, 600.0) if values["modality"] == "CT" else None)
    return values | {"window": window}
