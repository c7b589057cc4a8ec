"""voxelsmith train check, and how the training commands tell of their scans before they begin."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from model_store.faults import Refusal
from training.engine.config import CT_WINDOW
from voxelsmith.commands.told.report import print_json, say, warn
from voxelsmith.extras import load


def tell(report: Any) -> None:
    """What was found in the data folder, on standard error; what may not be meant, as warnings."""
    for line in report.lines():
        say(line, err=True)
    for warning in report.warnings():
        warn(warning)


def check(
    data: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of scans.")],
    modality: Annotated[Literal["CT", "MR"] | None, typer.Option(help="Without it what the values look like.")] = None,
    window: Annotated[tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="As in training.")] = None,
    picture: Annotated[Path | None, typer.Option(dir_okay=False, help="PNG of the scans, to be written.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the figures of each scan.")] = False,
) -> None:
    """Look at a folder of scans as training would, without training.

    Exit code 1 where training would refuse it.
    """
    survey = load("training.engine.survey", "train").survey(data)
    reports = load("training.engine.data_report", "train")
    refused: list[str] = []
    kind = modality or _guessed(survey, refused)
    report = reports.DataReport(survey, kind, window or (CT_WINDOW if kind == "CT" else None))
    try:
        report.check_window()
    except Refusal as err:
        refused.append(str(err))
    if as_json:
        print_json(report.as_json() | {"refused": refused})
    else:
        tell(report)
    if picture is not None:
        reports.draw(data, report, picture)
        say(f"{picture}", err=as_json)
    for sentence in refused:
        say(f"voxelsmith: {sentence}", err=True)
    if refused or not survey.scans:
        raise typer.Exit(1)


def _guessed(survey: Any, refused: list[str]) -> str:
    """What the values look like; "unclear", and why, where they do not tell."""
    if not survey.scans:
        return "unclear"
    try:
        return str(load("training.engine.modality", "train").modality_of(survey))
    except Refusal as err:
        refused.append(str(err))
        return "unclear"
