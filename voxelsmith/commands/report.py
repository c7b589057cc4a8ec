"""How commands speak: tables and JSON on standard output, progress on standard error."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contract.plain_text import is_plain, plain
from volumes.formats import WRITTEN

_VOLUMES = "|".join(re.escape(row.name) for row in WRITTEN)
_OF_A_JOB = re.compile(rf"[0-9]{{3,}}\.({_VOLUMES}|png)|latents\.npy|provenance\.json|direction-.+\.json")
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


def warn(text: str) -> None:
    """A line on standard error that a person should not miss."""
    typer.secho(plain(f"warning: {text}"), fg="yellow", err=True)


def print_json(value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    typer.echo("".join(sign if is_plain(sign) else json.dumps(sign)[1:-1] for sign in text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    table = Table(*columns, title=None if title is None else shown(title), title_justify="left")
    for row in rows:
        table.add_row(*(shown(cell) for cell in row))
    # A pipe has no width; wrapping at 80 columns would cut names apart.
    Console(width=None if Console().is_terminal else 200).print(table)


def shown(cell: object) -> Text:
    """Not as rich's own markup either, in which brackets colour and link."""
    return Text(plain(str(cell)))


def size_text(size_bytes: float) -> str:
    """12.3 MB: three figures, decimal units."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} GB"
