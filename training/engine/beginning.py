"""What is settled before a run's networks are made: whether it is the run that lies there, and what its scans show."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from model_store.folder import held, replacing
from training.engine.command_line import asked, flag_of
from training.engine.config import CHECKPOINT, CONFIG, DATA, DATA_PICTURE, CourseConfig, RunConfig
from training.engine.data import Scans, Spacing, scans_in
from training.engine.data_report import DataReport, draw
from training.engine.errors import DataRefused
from training.engine.modality import modality_of
from training.engine.spacing import box_spacing
from training.engine.survey import Survey

Config = TypeVar("Config", bound=CourseConfig)


class Seen(BaseModel):
    """What a run's folder keeps of its scans: enough to make a model of a checkpoint without them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    scans: int = 0
    spacings_mm: tuple[Spacing, ...] = ()


def check_folders(config: CourseConfig) -> None:
    """Before networks are made: there are scans, and the run's model replaces none that is not the run's own.

    Raises:
        DataRefused: it is not so.
    """
    scans_in(config.data)
    folder = config.out / config.name
    if folder.exists() and _name_of_run(config.out) != config.name:
        raise DataRefused(
            f"{folder} is there and not of this run, which would replace it: take another --name or --out"
        )


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """While a run writes its folder, no other does: two would write one checkpoint.

    Raises:
        DataRefused: another one does.
    """
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            try:
                stack.enter_context(held(out))
            except BlockingIOError as err:
                told = f"another training run writes {out}: wait for its end, or take another --out"
                raise DataRefused(told) from err
            yield
    finally:
        if is_new:  # a run that was refused leaves nothing
            with suppress(OSError):
                out.rmdir()


def check_same_run(config: CourseConfig) -> None:
    """A run that goes on has the options that it began with, but those of the machine and of its reports.

    Raises:
        DataRefused: it names the options that differ.
    """
    if not (config.out / CHECKPOINT).exists():
        return
    stored, kind = stored_config(config.out), type(config)
    given = config.model_dump(mode="json")
    differing = [
        name
        for name, field in kind.model_fields.items()
        if name in stored and not asked(field).may_change and not _is_same(stored[name], given[name])
    ]
    if "family" in differing or (stored and not set(stored) <= set(kind.model_fields)):
        raise DataRefused(f"{config.out} holds a run of another family, {stored.get('family')}: take another --out")
    if differing:
        told = ", ".join(f"{flag_of(kind, name)} (there {_shown(stored[name])})" for name in differing)
        raise DataRefused(
            f"the run in {config.out} began with other options: {told}; leave them out and go on with --resume "
            f"{config.out}, or begin another run in another --out"
        )


def stored_config(out: Path) -> dict[str, Any]:
    """What the run in a folder was begun with; empty where there is none."""
    try:
        stored = json.loads((out / CONFIG).read_bytes())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def settled(config: Config, survey: Survey) -> Config:
    """The configuration with what the scans tell: the modality, and the millimetres of a box at the head.

    Raises:
        DataRefused: the scans do not tell, or the window cuts off nearly everything; it says what to type.
    """
    if not survey.scans:
        return config
    changes: dict[str, Any] = {}
    if getattr(config, "modality", None) == "":
        changes["modality"] = modality_of(survey)
    if isinstance(config, RunConfig) and config.placement == "head" and config.spacing_mm is None:
        changes["spacing_mm"] = (box_spacing(survey, config.sides, config.axes),) * 3
    return type(config).model_validate(config.model_dump(exclude_unset=True) | changes)


def report_of(config: CourseConfig, survey: Survey) -> DataReport:
    """Of the scans of a run, as its configuration takes them."""
    return DataReport(survey, getattr(config, "modality", ""), getattr(config, "window", None))


def begin(config: CourseConfig, report: DataReport, scans: Scans) -> None:
    """Make the run's folder and write down what the run is and of what, once it is known to fit what lies there."""
    config.out.mkdir(parents=True, exist_ok=True)
    seen = Seen(scans=len(scans.paths), spacings_mm=scans.spacings_mm)
    with replacing(config.out / CONFIG) as partial:
        partial.write_text(config.model_dump_json(indent=2) + "\n")
    with replacing(config.out / DATA) as partial:
        partial.write_text(json.dumps(seen.model_dump() | {"report": report.as_json()}, indent=2) + "\n")
    draw(config.data, report, config.out / DATA_PICTURE)


def seen_by(out: Path) -> Seen:
    """What the run in a folder saw; nothing where an older version wrote the run."""
    try:
        return Seen.model_validate_json((out / DATA).read_bytes())
    except (OSError, ValidationError):
        return Seen()


def _name_of_run(out: Path) -> str | None:
    """What the run in a folder calls its model; None where there is no run."""
    name = stored_config(out).get("name")
    return name if isinstance(name, str) else None


def _is_same(stored: Any, given: Any) -> bool:
    if isinstance(stored, str) and isinstance(given, str) and stored != given:
        return Path(stored).exists() and Path(given).exists() and Path(stored).samefile(given)
    return bool(stored == given)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "none" if value in (None, "") else str(value)
