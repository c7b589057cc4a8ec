"""How commands speak: tables and JSON on standard output, progress on standard error."""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from contract.plain_text import is_plain, plain
from volumes.formats import WRITTEN
from voxelsmith.commands.told.table_layout import laid_out
from voxelsmith.file_names import OF_A_VOLUME

_VOLUMES = "|".join(re.escape(row.endings[0]) for row in WRITTEN)
_OF_A_JOB = re.compile(rf"{OF_A_VOLUME}({_VOLUMES}|\.png)|latents\.npy|provenance\.json|direction-.+\.json")
"""Names that a job gives its files."""
_SHOWN = 3


@contextmanager
def telling_of_others(folder: Path) -> Iterator[None]:
    """After the block, which writes a job's files into the folder: a line about those of earlier jobs still there."""
    before = _files_of_jobs(folder)
    yield
    others = sorted(name for name, _ in before.items() & _files_of_jobs(folder).items())
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        say(f"{folder} also holds files of an earlier job: {', '.join(others[:_SHOWN])}{more}", err=True)


def _files_of_jobs(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written anew, by name."""
    found = {path.name: path.stat() for path in folder.glob("*") if _OF_A_JOB.fullmatch(path.name) and path.is_file()}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in found.items()}


def say(text: str, err: bool = False) -> None:
    """A line for a person, in which what a stranger wrote is text and nothing else."""
    typer.echo(plain(text), err=err)


def warn(text: str, word: str = "warning") -> None:
    """A line on standard error that a person should not miss."""
    typer.secho(plain(f"{word}: {text}"), fg="yellow", err=True)


def print_json(value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    typer.echo("".join(sign if is_plain(sign) else json.dumps(sign)[1:-1] for sign in text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Within the width of a terminal; a pipe has none, and gets a row a line."""
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    cells = [[_one_line(cell) for cell in row] for row in rows]
    header, *lines = laid_out([_one_line(name) for name in columns], cells, width)
    if title is not None:
        say(title)
    typer.secho(header, bold=True)
    for line in lines:
        typer.echo(line)


def _one_line(cell: object) -> str:
    return plain(" ".join(str(cell).split()))


def size_text(size_bytes: float) -> str:
    """12.3 MB: three figures, decimal units."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} GB"


def span_text(seconds: float) -> str:
    """0.42 s, 5 min, 3 h, 12 d: one unit, and no more figures than are of use."""
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    for unit, length_s in (("min", 60), ("h", 3600)):
        if seconds < 100 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
