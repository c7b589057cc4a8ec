"""voxelsmith study truncation: what the bone paper shows of its models, of any generator."""

from pathlib import Path
from typing import Annotated, Any

import typer

from model_store.card import ModelCard
from voxelsmith.commands import options as o
from voxelsmith.commands.running import progress_bar
from voxelsmith.commands.told.report import say
from voxelsmith.environment import Surroundings
from voxelsmith.extras import load


def truncation(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="report.json and table.md.")],
    model: Annotated[str, typer.Option(metavar="NAME")] = "head-style-128",
    reference: Annotated[
        Path | None,
        typer.Option(metavar="DIR", exists=True, file_okay=False, help="Scans; else its own untruncated samples."),
    ] = None,
    num_samples: Annotated[int, typer.Option(min=10, help="At each level.")] = 100,
    pairs: Annotated[int, typer.Option(min=1, help="Of samples whose styles are mixed.")] = 16,
    phantoms: Annotated[int, typer.Option(min=20, help="Damaged ones, whose realism is looked at.")] = 60,
    reference_phantoms: Annotated[int, typer.Option(min=8, help="Whole ones.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    device: o.DeviceHere = "cpu",
) -> None:
    """The bone paper's table 1 and figures 6 and 8: what truncation costs, what styles carry, what realism notices."""
    place: Surroundings = context.obj
    module: Any = load("voxelsmith.studies.truncation", "train")
    card = place.catalogue.card(model)
    if not isinstance(card, ModelCard):
        raise typer.BadParameter("this model makes no volumes of its own")
    out.mkdir(parents=True, exist_ok=True)
    plan = module.Plan(out, reference, num_samples, pairs, phantoms, reference_phantoms, seed, device)
    with place.catalogue.files(model) as folder, progress_bar("study") as on_stage:
        report = module.Study(plan, card, folder, on_stage).run()
    say((out / "table.md").read_text())
    say(str(report))
