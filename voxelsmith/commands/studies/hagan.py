"""voxelsmith study regression, memory, augmentation: HA-GAN's tables and figures on phantoms."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from contract.pointers import described
from voxelsmith.commands import options as o
from voxelsmith.commands.running import going_on, progress_bar
from voxelsmith.commands.told.report import say
from voxelsmith.environment import Surroundings
from voxelsmith.extras import load

Out = Annotated[Path, typer.Option(file_okay=False, help="Runs, report.json and table.md.")]
Side = Literal[32, 64, 128, 256]
Edge = Annotated[Side, typer.Option(help="Edge of the cube; 256 in the paper.")]
Width = Annotated[int, typer.Option(min=8, help="Channels, by eights; 32 in the paper.")]
LatentDim = Annotated[int, typer.Option(min=1, help="1024 in the paper.")]
Iterations = Annotated[int, typer.Option(min=1, help="80000 in the paper.")]
BatchSize = Annotated[int, typer.Option(min=1, help="4 in the paper.")]
Rate = Annotated[float, typer.Option(min=0.01, max=100, help="Factor on the paper's learning rates.")]
Precision = Annotated[
    Literal["float32", "tf32", "bfloat16"], typer.Option(help="Of training; bfloat16 for AMX and CUDA, tf32 for CUDA.")
]
Seed = Annotated[int, typer.Option(min=0)]


def regression(
    context: typer.Context,
    out: Out,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="One that encodes, to be asked in place of a new one.")
    ] = None,
    phantoms: Annotated[int, typer.Option(min=10, help="To train on and to fit regressions to.")] = 300,
    test_phantoms: Annotated[int, typer.Option(min=2, help="To hold regressions against.")] = 100,
    starts: Annotated[int, typer.Option(min=1, help="Random latents that walk along directions.")] = 8,
    size: Edge = 32,
    width: Width = 8,
    latent_dim: LatentDim = 64,
    iterations: Iterations = 1000,
    batch_size: BatchSize = 4,
    rate: Rate = 5.0,
    precision: Precision = "float32",
    seed: Seed = 0,
    device: o.DeviceHere = "cpu",
) -> None:
    """HA-GAN's table VI, figures 4 and 5: what latents say of known attributes, and volumes along directions."""
    place: Surroundings = context.obj
    module = load("voxelsmith.studies.regression", "train")
    parts = load("voxelsmith.studies.phantom_models", "train")
    small = parts.SmallHAGAN(size, width, latent_dim, iterations, batch_size, rate, precision, seed, device)
    plan = module.Plan(out, small, phantoms, test_phantoms, starts)
    out.mkdir(parents=True, exist_ok=True)
    if model is None:
        run(module.Study, plan)
        return
    with place.catalogue.files(model) as folder:
        run(module.Study, plan, (place.catalogue.card(model), folder))


def memory(
    out: Out,
    size: Annotated[
        list[int] | None, typer.Option(help="An edge to measure, as often as wanted; else 32, 64 and 128.")
    ] = None,
    slabs_at: Annotated[Side, typer.Option(help="The edge at which other sub-volumes are measured; 256 there.")] = 64,
    width: Width = 32,
    latent_dim: LatentDim = 1024,
    batch_size: Annotated[int, typer.Option(min=1, help="4 in the paper's training.")] = 4,
    precision: Precision = "float32",
    device: o.DeviceHere = "cpu",
) -> None:
    """HA-GAN's tables VII and IX: the memory of training and of generating by edge and by sub-volumes."""
    module = load("voxelsmith.studies.memory", "train")
    out.mkdir(parents=True, exist_ok=True)
    run(
        module.Study,
        module.Plan(out, tuple(size or (32, 64, 128)), slabs_at, width, latent_dim, batch_size, precision, device),
    )


def augmentation(
    out: Out,
    real: Annotated[int, typer.Option(min=5, help="Phantoms to learn from; 20% generated join them.")] = 100,
    test_phantoms: Annotated[int, typer.Option(min=2, help="To test classifiers on.")] = 200,
    seeds: Annotated[int, typer.Option(min=1, help="Classifiers of each training set.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Of a classifier; 20 in the paper.")] = 20,
    size: Edge = 32,
    width: Width = 8,
    latent_dim: LatentDim = 64,
    iterations: Iterations = 500,
    batch_size: BatchSize = 4,
    rate: Rate = 5.0,
    precision: Precision = "float32",
    seed: Seed = 0,
    device: o.DeviceHere = "cpu",
) -> None:
    """HA-GAN's table V: a classifier of few real volumes, with and without generated ones beside them."""
    module = load("voxelsmith.studies.augmentation", "train")
    parts = load("voxelsmith.studies.phantom_models", "train")
    small = parts.SmallHAGAN(size, width, latent_dim, iterations, batch_size, rate, precision, seed, device)
    out.mkdir(parents=True, exist_ok=True)
    run(module.Study, module.Plan(out, small, real, test_phantoms, seeds, epochs))


def run(study: Any, plan: Any, *more: Any) -> None:
    """With a progress bar; the table is printed. Raises: typer.BadParameter, where networks cannot be as is asked."""
    try:
        with going_on(plan.out), progress_bar("study") as on_stage:
            report = study(plan, on_stage, *more).run()
    except ValidationError as err:
        first = err.errors(include_input=False, include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise typer.BadParameter(f"--{option}: {described(first)}") from err
    say((plan.out / "table.md").read_text())
    say(str(report))
