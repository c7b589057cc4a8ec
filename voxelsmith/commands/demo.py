"""voxelsmith demo: the whole service once, to look at."""

import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Protocol, cast

import typer
from rich.console import Console
from rich.status import Status

from jobs.stop_wish import StopWish
from voxelsmith import extras
from voxelsmith.client import DEMO_MODEL
from voxelsmith.commands import options as o
from voxelsmith.commands.told.report import print_table, say, size_text, span_text
from voxelsmith.environment import Surroundings

app = typer.Typer()


class DemoModule(Protocol):
    """voxelsmith.demo, which is loaded by name because it needs Pillow."""

    Demo: Any
    Wish: Any


@app.command()
def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Where the files go.")] = Path(
        "demo-output"
    ),
    model: Annotated[str, typer.Option("--model", metavar="NAME")] = DEMO_MODEL,
    scan: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="By default nilearn's MNI152.")] = None,
    direction: Annotated[str | None, typer.Option(help="By default the model's first.")] = None,
    threads: o.Threads = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Do not stop at the end: leave the page open to look at.")
    ] = False,
) -> None:
    """Start the service, generate, encode a real scan, edit it, save volumes and pictures, stop."""
    place: Surroundings = context.obj
    extras.require("torch", "worker")
    module = cast("DemoModule", extras.load("voxelsmith.demo", "demo"))
    place.catalogue.card(model)
    settings = place.settings.model_copy(update={} if threads is None else {"threads": threads})
    signal.signal(signal.SIGTERM, _leave)
    console = Console(stderr=True)
    wish = module.Wish(out, model, scan, direction)
    with console.status("demo") as status:
        demo = module.Demo(wish, lambda name: status.update(f"demo: {name}"))
        if keep:
            demo.run(settings, lambda stack, steps: _linger(stack, partial(_print, steps, out), status))
            return
        steps = demo.run(settings)
    _print(steps, out)
    is_usual = settings.models_url in ("", str(place.usual_models))
    models = "" if is_usual else f"--models {shlex.quote(settings.models_url)} "
    say("\nTo look at all this in a browser:")
    program = sys.argv[0] if Path(sys.argv[0]).name == "voxelsmith" else "voxelsmith"
    say(f"  {shlex.quote(program)} {models}serve --data {shlex.quote(str(wish.data))}")
    say(f"and open http://{settings.host}:{settings.port}/#/jobs")


def _linger(stack: Any, show: Callable[[], None], status: Status) -> None:
    """Shows what was made, and then serves the page until Ctrl-C."""
    status.stop()
    show()
    say(f"\nOpen {stack.url}/#/jobs to look at all this; Ctrl-C stops the service.")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a script's background process has not
    with suppress(KeyboardInterrupt):
        stack.watch(StopWish())


def _print(steps: list[Any], out: Path) -> None:
    all_files = [path for step in steps for path in step.files]
    rows = [*map(_row, steps), ("all", "", str(len(all_files)), "", span_text(sum(s.wall_s for s in steps)), "")]
    print_table(["step", "made", "files", "size", "time", "of this"], rows, title=f"Made in {out}")
    for path in all_files:
        if path.name.endswith((".nii.gz", "contact-sheet.png")):
            say(f"{size_text(path.stat().st_size):>8}  {path}")


def _row(step: Any) -> tuple[str, ...]:
    size = sum(path.stat().st_size for path in step.files)
    parts = [
        f"{name} {span_text(spent)}" for name, spent in step.timings_s.items() if name != "total" and spent >= 0.005
    ]
    count = str(len(step.files)) if step.files else ""
    return step.name, step.made, count, size_text(size) if size else "", span_text(step.wall_s), ", ".join(parts)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)
