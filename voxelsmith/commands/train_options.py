"""The options of a training command, made of its configuration's settings: default, help and bounds stand there."""

import inspect
import operator
from collections.abc import Callable, Iterator
from functools import reduce
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from training.engine.command_line import asked, flag_of
from training.engine.config import CourseConfig


def command(name: str, kind: type[CourseConfig], run: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
    """A function for typer, called like the command, with an option for each setting of `kind`.

    Args:
        run: called with the settings that were given.
    """

    def chosen(**values: Any) -> None:
        """Hand over what was given: an option left out is None where the setting has no plain default."""
        run({field: value for field, value in values.items() if value is not None})

    chosen.__name__, chosen.__doc__ = name, kind.__doc__
    chosen.__signature__ = inspect.Signature(list(_options(kind)))  # type: ignore[attr-defined]
    return chosen


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
