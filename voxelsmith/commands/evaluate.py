"""voxelsmith evaluate: how far a model's volumes, or a folder's, are from real scans."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evaluation.config import NUM_SAMPLES, EvaluationConfig, FeaturesName
from evaluation.report import PAGE, Estimate, Report
from model_store.card import ModelCard
from model_store.faults import FolderFault
from voxelsmith.commands import options as o
from voxelsmith.commands.running import going_on, misfits_by_option
from voxelsmith.commands.told.report import print_json, print_table, say, warn
from voxelsmith.environment import Surroundings
from voxelsmith.extras import load

app = typer.Typer()
OF_A_MODEL = {"num_samples": "--num-samples", "class_label": "--class", "truncation": "--truncation"}


@app.command()
def evaluate(
    context: typer.Context,
    reference: Annotated[
        Path, typer.Option(metavar="DIR", exists=True, file_okay=False, help="Real scans, best none of the training.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="report.json, report.html, features.npz.")],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Its volumes are judged.")] = None,
    generated: Annotated[
        Path | None, typer.Option(metavar="DIR", exists=True, file_okay=False, help="Volumes to judge instead.")
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(metavar="DIR", exists=True, file_okay=False, help="The training scans, to look for copies of."),
    ] = None,
    prepared_as: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --generated: bring both sides to this model's grid.")
    ] = None,
    num_samples: Annotated[int, typer.Option(min=1, help="How many volumes the model makes.")] = NUM_SAMPLES,
    class_label: Annotated[
        str | None, typer.Option("--class", metavar="NAME|INDEX", help="Of a conditional model; without, all in turn.")
    ] = None,
    truncation: o.Truncation = None,
    features: Annotated[FeaturesName, typer.Option(help="The network that volumes are compared by.")] = "distortion",
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Of --features medicalnet.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Sample k is that of seed + k.")] = 0,
    device: o.DeviceHere = "cpu",
    attach: Annotated[
        bool,
        typer.Option(
            "--attach",
            help="Leave headline and features of scans with the model, for its volumes' realism.",
        ),
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Compare a model's volumes with real scans: distances, diversity, copies of training scans, detail."""
    place: Surroundings = context.obj
    _check_use(context)
    config = EvaluationConfig(
        reference=reference, out=out, generated=generated, train=train, num_samples=num_samples,
        class_label=o.class_label(class_label), truncation=truncation, features=features, weights=weights, seed=seed,
        device=device,
    )  # fmt: skip
    folder = _attachable(place, model) if attach and model is not None else None
    with going_on(out):
        found = _run(config, model or prepared_as, place)
    if folder is not None:
        missing = load("evaluation.attaching", "worker").attach(found, out, folder)
        if missing is not None:
            warn(f"the model's volumes get no realism: {missing}")
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    _tell(found, out)


def _check_use(context: typer.Context) -> None:
    """Which options go together. Raises: typer.BadParameter."""
    given = context.params
    if (given["model"] is None) == (given["generated"] is None):
        raise typer.BadParameter("give one of --model and --generated: whose volumes are to be judged")
    if given["prepared_as"] is not None and given["generated"] is None:
        raise typer.BadParameter("--prepared-as belongs to --generated; --model prepares scans by its own card")
    if given["model"] is not None:
        return
    if given["attach"]:
        raise typer.BadParameter("--attach belongs to --model: the folder of files has no card to show it")
    for name, option in OF_A_MODEL.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"{option} belongs to --model: the volumes of --generated are made already")


def _attachable(place: Surroundings, model: str) -> Path:
    """The folder that is attached to. Raises: NoSuchFolder, FolderFault, where nothing can be left there."""
    folder = place.catalogue.folder(model)
    if not os.access(folder, os.W_OK):
        raise FolderFault(
            "--attach: the model's folder cannot be written; copy it, and name the copy's place by --models"
        )
    return folder


def _run(config: EvaluationConfig, name: str | None, place: Surroundings) -> Report:
    """With the progress of each side on standard error."""
    course: Any = load("evaluation.course", "worker")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def tell(side: str, done: int, total: int) -> None:
            if side not in tasks:
                tasks[side] = bar.add_task(side, total=total)
            bar.update(tasks[side], completed=done, total=total)

        if name is None:
            report: Report = course.evaluate(config, None, tell)
            return report
        card = place.catalogue.card(name)
        if not isinstance(card, ModelCard):
            raise typer.BadParameter("this model makes no volumes of its own, so that there is nothing to compare")
        if config.generated is None:
            _check_fit(config, card)
        with place.catalogue.files(name) as folder:
            found: Report = course.evaluate(config, course.Model(folder, card), tell)
            return found


def _check_fit(config: EvaluationConfig, card: ModelCard) -> None:
    """Holds what the model is asked for against its card, as a generate of the last sample would be. Raises:
    typer.BadParameter."""
    body = {"model": card.name, "seed": config.seed + config.num_samples - 1, "truncation": config.truncation}
    body["class_label"] = 0 if config.class_label is None and card.classes else config.class_label
    with misfits_by_option():
        load("workers.run", "worker").parse("generate", body).check(card)


def _tell(found: Report, out: Path) -> None:
    named: list[tuple[str, Estimate]] = [
        *((name, getattr(found, name)) for name in ("fid", "kid", "mmd", "density", "coverage", "precision", "recall")),
        ("ms_ssim_pairs", found.ms_ssim_pairs.generated),
        ("realism", found.realism.mean),
        ("nearer than scans", found.nearest.share_nearer),
        ("detail", found.detail.generated),
    ]
    of_scans = {"ms_ssim_pairs": found.ms_ssim_pairs.reference, "detail": found.detail.reference}
    rows = [row_of(name, one, of_scans.get(name)) for name, one in named]
    print_table(["measure", "value", "of few", "real against real", "why"], rows)
    for told in found.warnings:
        warn(told)
    say(f"{out / PAGE}")


def row_of(name: str, found: Estimate, of_scans: Estimate | None) -> tuple[str, ...]:
    """`of_scans`: what the reference has by itself. Of few and real against real are of equally many volumes."""
    value = "-" if found.value is None else f"{found.value:.4g}"
    few, floor = ("" if one is None else f"{one.median:.4g} at n = {one.n}" for one in (found.spread, found.floor))
    if of_scans is not None and of_scans.value is not None:
        floor = f"{of_scans.value:.4g}"
    return name, value, few, floor, found.reason or found.note or ""
