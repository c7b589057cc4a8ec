"""The options of a training command, made of its configuration's settings: default, help and bounds stand there."""

import inspect
import json
import operator
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from training.engine.command_line import asked, flag_of
from training.engine.config import CONFIG, CourseConfig


def command(
    name: str, kind: type[CourseConfig], run: Callable[[dict[str, Any], Path | None], None]
) -> Callable[..., None]:
    """A function for typer, called like the command, with an option for each setting of `kind`.

    Args:
        run: called with the settings that were typed, and the folder of the run that goes on.
    """

    def chosen(context: typer.Context, resume: Path | None, **values: Any) -> None:
        """Hand over what was typed, and of a new run what has a plain default."""
        typed = {field: value for field, value in values.items() if value is not None}
        if resume is not None:
            typed = {field: typed[field] for field in typed if _is_typed(context, field)}
        run(typed, resume)

    chosen.__name__, chosen.__doc__ = name, kind.__doc__
    chosen.__signature__ = inspect.Signature([_CONTEXT, *_options(kind), _RESUME])  # type: ignore[attr-defined]
    return chosen


def _is_typed(context: typer.Context, field: str) -> bool:
    source = context.get_parameter_source(field)
    return source is not None and source.name == "COMMANDLINE"


def _take_from(context: typer.Context, out: Path | None) -> Path | None:
    """What a run must be told, it has been told already."""
    if out is None or context.resilient_parsing:
        return out
    if not (out / CONFIG).is_file():
        raise typer.BadParameter(f"there is no run in {out}: no {CONFIG} lies there")
    context.default_map = {"out": str(out)} | {
        name: value for name, value in stored_options(out).items() if name in ("data", "model")
    }
    return out


def stored_options(out: Path) -> dict[str, Any]:
    """What the run in a folder was begun with. Raises: typer.BadParameter, where it cannot be read."""
    try:
        stored = json.loads((out / CONFIG).read_bytes())
    except (OSError, ValueError) as err:
        raise typer.BadParameter(f"there is no run in {out}: {CONFIG} is missing or damaged") from err
    return stored if isinstance(stored, dict) else {}


_RESUME = inspect.Parameter(
    "resume",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            exists=True,
            file_okay=False,
            is_eager=True,
            callback=_take_from,
            help="Go on with the run in this folder, with its own options; those of the machine and of reports, and "
            "--iterations, may be given anew.",
        ),
    ],
)
_CONTEXT = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)


def _options(kind: type[CourseConfig]) -> Iterator[inspect.Parameter]:
    for name, field in kind.model_fields.items():
        if not _is_fixed(field.annotation):
            yield inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=_option(kind, name, field)
            )


def _option(kind: type[CourseConfig], name: str, field: FieldInfo) -> Any:
    how, typed = asked(field), _typed(field)
    shown = typer.Option(
        flag_of(kind, name),
        metavar=how.metavar,
        help=field.description,
        exists=how.must_exist,
        file_okay=False,  # every path is a folder
        min=_bound(field, "ge") if typed is int else None,
        max=_bound(field, "le") if typed is int else None,
    )
    return Annotated[typed, shown]


def _typed(field: FieldInfo) -> Any:
    """What the command line is given for a setting."""
    typed = asked(field).kind or _plain(field.annotation)
    is_left_out = not field.is_required() and _default(field) is None
    return typed | None if is_left_out and type(None) not in get_args(typed) else typed


def _plain(annotation: Any) -> Any:
    """A type without the bounds of its parts. Of whole numbers that are named one by one: int."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(parts[0])
    if origin is tuple:
        return tuple[tuple(_plain(part) for part in parts)]  # type: ignore[misc]
    if origin in (Union, UnionType):
        return reduce(operator.or_, map(_plain, parts))
    if origin is Literal and all(isinstance(part, int) for part in parts):
        return int
    return annotation


def _default(field: FieldInfo) -> Any:
    """None where the configuration finds one itself; that option is left out of what it is given."""
    if field.is_required():
        return inspect.Parameter.empty
    return None if field.default_factory is not None else field.default


def _bound(field: FieldInfo, name: Literal["ge", "le"]) -> int | None:
    return next((getattr(part, name) for part in field.metadata if hasattr(part, name)), None)


def _is_fixed(annotation: Any) -> bool:
    """Whether there is but one value."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1
