"""voxelsmith study inflation: Split&Shuffle-GAN's 2D weights in 3D, against none."""

from pathlib import Path
from typing import Annotated, Any

import typer

from voxelsmith.commands import options as o
from voxelsmith.commands.running import going_on, progress_bar
from voxelsmith.commands.told.report import say
from voxelsmith.extras import load


def inflation(
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="Runs, report.json and table.md.")],
    phantoms: Annotated[int, typer.Option(min=2, help="To learn from.")] = 24,
    test_phantoms: Annotated[int, typer.Option(min=4, help="To hold samples against.")] = 64,
    num_samples: Annotated[int, typer.Option(min=2, help="Of each model.")] = 64,
    side: Annotated[int, typer.Option(min=8, max=256, help="Of a phantom in voxels, a power of two.")] = 32,
    channels: Annotated[int, typer.Option(min=2, help="Of every layer; 32 in the paper.")] = 8,
    pretrain_2d: Annotated[int, typer.Option("--pretrain-2d", min=1, help="Iterations on slices.")] = 600,
    iterations: Annotated[int, typer.Option(min=2, help="On volumes; looked at after 1, a third and all.")] = 300,
    batch_size: Annotated[int, typer.Option(min=1, help="128 in the paper.")] = 4,
    all_ways: Annotated[bool, typer.Option("--all", help="All five ways of inflation, not Inflate-1 alone.")] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: o.DeviceHere = "cpu",
) -> None:
    """Split&Shuffle-GAN's table I on phantoms: a 3D GAN from inflated 2D weights against one from none."""
    if side & (side - 1):
        raise typer.BadParameter("--side: a power of two")
    module: Any = load("voxelsmith.studies.inflation", "train")
    out.mkdir(parents=True, exist_ok=True)
    ways = tuple(name for name in module.PAPER if name != module.NONE) if all_ways else ("inflate-1",)
    looks = tuple(sorted({1, max(1, iterations // 3), iterations}))
    plan = module.Plan(
        out, ways, phantoms, test_phantoms, num_samples, side, channels, pretrain_2d, looks, batch_size, seed, device
    )
    with going_on(out), progress_bar("study") as on_stage:
        report = module.Study(plan, on_stage).run()
    say((out / "table.md").read_text())
    say(str(report))
