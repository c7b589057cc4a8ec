"""How a run shows where it is: a bar at a terminal, a line now and then in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from voxelsmith.commands.told.report import say

Told = Callable[[int, int, dict[str, float]], None]
BAR_CELLS = 12


@contextmanager
def shown_progress(console: Console | None = None) -> Iterator[Told]:
    """What a course calls with (iterations done, of how many, losses)."""
    screen = console or Console(stderr=True)
    if not screen.is_terminal:
        yield Lines()
        return
    with bar(screen) as shown:
        task = shown.add_task("", total=None, losses="")

        def tell(done: int, total: int, losses: dict[str, float]) -> None:
            shown.update(task, completed=done, total=total, losses=losses_text(losses))

        yield tell


def bar(screen: Console) -> Progress:
    """Count and remaining time keep their places; of the losses as much is shown as fits."""
    losses = TextColumn("{task.fields[losses]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    return Progress(
        BarColumn(BAR_CELLS, table_column=Column(no_wrap=True)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        losses,
        console=screen,
        expand=True,
    )


class Lines:
    """A line each time that losses are told: count, rate, time left, losses."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, total: int, losses: dict[str, float]) -> None:
        now = time.monotonic()
        if self._first is None or done < self._first[0]:
            self._first = done, now
        begun, since = self._first
        rate = (done - begun) / (now - since) if done > begun else 0.0
        left = f"{rate:.3g} iterations/s, {timedelta(seconds=round((total - done) / rate))} left" if rate else "begun"
        say(f"iteration {done} of {total}, {left}: {losses_text(losses)}", err=True)


def losses_text(losses: dict[str, float]) -> str:
    """Name and three digits of each."""
    return ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
