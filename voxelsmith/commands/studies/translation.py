"""voxelsmith study megan, voxelsmith study translation: translators held against the truth."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from voxelsmith.commands import options as o
from voxelsmith.commands.running import going_on, progress_bar, whole
from voxelsmith.commands.told.report import print_json, say
from voxelsmith.environment import Surroundings
from voxelsmith.extras import load


def megan(
    out: Annotated[Path, typer.Option(file_okay=False, help="Runs, report.json and table.md.")],
    train: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Soft CTs to learn from; else phantoms.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Soft CTs to test on; else phantoms.")
    ] = None,
    phantoms: Annotated[int, typer.Option(min=1, help="To learn from.")] = 6,
    test_phantoms: Annotated[int, typer.Option(min=1, help="To test on.")] = 2,
    side: Annotated[int, typer.Option(min=32, max=512, help="Of a phantom, in voxels; 512 in the paper.")] = 64,
    lr_size: Annotated[int, typer.Option(min=16, help="Edge of the lowest scale; 64 in the paper.")] = 32,
    doublings: Annotated[int, typer.Option(min=1, max=6, help="HR networks; 3 in the paper.")] = 1,
    width: Annotated[int, typer.Option(min=1, help="Channels; 64 in the code.")] = 8,
    blocks: Annotated[int, typer.Option(min=1, help="Residual blocks; 6 in the code.")] = 2,
    iterations: Annotated[int, typer.Option(min=1, help="Of each network.")] = 300,
    batch_size: Annotated[int, typer.Option(min=1, help="Patches; 20 in the code.")] = 4,
    learning_rate: Annotated[
        float, typer.Option(min=1e-6, max=1.0, help="Of --training paper; 0.0002 in the code.")
    ] = 1e-3,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: o.DeviceHere = "cpu",
    training: Annotated[
        Literal["distance", "paper"],
        typer.Option(help="By the L1 distance alone, with fewer iterations, or as in the paper."),
    ] = "distance",
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="Of forward passes in training; bfloat16 for AMX and CUDA.")
    ] = "float32",
) -> None:
    """MEGAN's table 1 on simulated kernels: with and without edges and lower scales, small and enlarged."""
    module = load("voxelsmith.studies.translation", "train")
    out.mkdir(parents=True, exist_ok=True)
    plan = module.Plan(
        out, train, test, phantoms, test_phantoms, side, lr_size, doublings, width, blocks, iterations, batch_size,
        learning_rate, seed, device, training, precision,
    )  # fmt: skip
    with going_on(out), progress_bar("study") as on_stage:
        report = module.Study(plan, on_stage).run()
    say((out / "table.md").read_text())
    say(str(report))


def translation(
    context: typer.Context,
    scan: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What is translated.")],
    model: Annotated[str, typer.Option(metavar="NAME")],
    truth: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The same patient in the target domain, on SCAN's grid."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, metavar="FILE", help="report.json; else only printed.")
    ] = None,
) -> None:
    """One translator on one scan: SSIM, MAE, MSE and PSNR per scale, and whether patches show."""
    place: Surroundings = context.obj
    module = load("voxelsmith.studies.translation", "train")
    card = place.catalogue.card(model)
    with _files(scan, truth) as (one, other), place.catalogue.files(model) as folder:
        found: dict[str, Any] = module.judged(card, folder, one, other)
    if out is not None:
        out.write_text(json.dumps(found, indent=1) + "\n")
    print_json(found)


@contextmanager
def _files(scan: Path, truth: Path | None) -> Iterator[tuple[Path | None, Path | None]]:
    with whole(scan) as one, whole(truth) as other:
        yield one, other
