"""A run's configuration as the command that makes such a run, to be typed as it is printed."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from training.engine.config import Asked, CourseConfig

PLACES = {"data": "SCANS", "out": "RUN", "model": "MODEL", "start_from": "MODEL"}
"""What folders are called in a card, which says nothing of the machine: the scans lie in SCANS where one types it."""
OF_THE_MACHINE = {"device", "data_workers", "log_every", "picture_every", "save_every", "keep_every"}


def command_of(config: CourseConfig) -> str:
    """`voxelsmith train FAMILY --data SCANS --out RUN ...`, quoted for a shell, with all that is not as by default."""
    kind = type(config)
    family = str(kind.model_fields["family"].default)
    words = [word for name in kind.model_fields if name not in OF_THE_MACHINE for word in _words(config, name)]
    return shlex.join(["voxelsmith", "train", family, *words])


def asked(field: FieldInfo) -> Asked:
    """How a setting is given."""
    return next((part for part in field.metadata if isinstance(part, Asked)), Asked())


def flag_of(kind: type[CourseConfig], name: str) -> str:
    """What the option of a setting is called."""
    return asked(kind.model_fields[name]).flag or "--" + name.replace("_", "-")


def _words(config: CourseConfig, name: str) -> Iterator[str]:
    value, field = getattr(config, name), type(config).model_fields[name]
    if value is None or name == "family" or (not field.is_required() and value == _usual(config, field)):
        return
    flag = flag_of(type(config), name)
    if isinstance(value, bool):
        yes, _, no = flag.partition("/")
        yield yes if value else no or f"--no-{flag.removeprefix('--')}"
        return
    yield flag
    yield from _values(name, value)


def _usual(config: CourseConfig, field: FieldInfo) -> Any:
    """What the run would have without the option."""
    return field.get_default(call_default_factory=True, validated_data=config.__dict__)


def _values(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Path):
        yield PLACES.get(name, name.upper())
    elif isinstance(value, list):
        yield ",".join(value)
    elif isinstance(value, tuple):
        yield from (repr(part) for part in value)
    else:
        yield str(value)
