"""voxelsmith dataset: as many volumes as wanted, with a table of them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from service.registry import ready_model
from voxelsmith.client import Client
from voxelsmith.commands import grids as g
from voxelsmith.commands import options as o
from voxelsmith.commands.running import in_process, misfits_by_option, progress_bar
from voxelsmith.commands.told.report import print_json, say
from voxelsmith.commands.wording.option_names import by_option
from voxelsmith.dataset.by_server import OnServer
from voxelsmith.dataset.making import Maker, OnVolume, make_dataset
from voxelsmith.dataset.plan import Layout, Piece, Wishes
from voxelsmith.environment import Surroundings
from voxelsmith.problems import DataSetRefused, JobInterrupted

app = typer.Typer()
_LINE_EVERY_S = 60.0
"""Of progress, where nobody watches a bar."""
_WINDOW_S = 3600.0
"""A volume may take minutes."""


class Here:
    """Jobs in this process; a Maker (voxelsmith.dataset.making). The model is loaded once."""

    def __init__(self, way: o.Way, place: Surroundings) -> None:
        self._way, self._place = way, place
        self._bench: Any = None

    def card(self, model: str) -> Mapping[str, Any]:
        return ready_model(self._place.catalogue.card(model))

    def expect(self, pieces: Iterable[Piece]) -> None:
        """One after the other."""

    def make(self, piece: Piece, folder: Path, on_done: Callable[[int], object]) -> None:
        here = in_process()
        way = o.Way(folder, None, False, self._way.device, self._way.precision, self._way.threads)
        self._bench = self._bench or here.bench_of(way, self._place)

        def on_stage(_name: str, done: int, _total: int) -> None:
            on_done(done)

        here.run_job("generate", piece.body, None, way, self._place, on_stage, bench=self._bench)

    def forget(self, piece: Piece) -> None:
        """Nothing of it is elsewhere."""


@app.command()
def dataset(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="`voxelsmith models list` shows them.")],
    count: Annotated[int, typer.Option(help="How many volumes; more than before adds to a data set.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="A new folder, or one to go on.")],
    layout: Annotated[Layout, typer.Option(help="plain, a BIDS derivative, or the folders of nnU-Net.")] = "plain",
    classes: Annotated[
        str | None, typer.Option(metavar="balanced|NAME,...", help="That volumes take in turn; by default all.")
    ] = None,
    truncation: o.Truncation = None,
    seed: Annotated[int | None, typer.Option(help="Volume k has seed + k; drawn once where none is given.")] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:VALUE]", help="mean_intensity, volume_above:VALUE, volume_below:VALUE, realism; repeatable."
        ),
    ] = None,
    suffix: Annotated[str | None, typer.Option(help="Contrast in BIDS file names; T1w where none is named.")] = None,
    format_: o.Format = None,
    dtype: o.Dtype = None,
    intensity: o.Intensity = None,
    spacing: g.Spacing = None,
    shape: g.Shape = None,
    like: g.Like = None,
    crop: g.Crop = None,
    server: o.Server = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
) -> None:
    """Make a data set: volumes with a table of them. The same command goes on where one was stopped."""
    output = {"format": format_, "dtype": dtype, "intensity": intensity, **g.chosen(spacing, shape, like, crop)}
    wishes: Wishes = {
        "count": count,
        "seed": seed,
        "classes": classes,
        "truncation": truncation,
        "layout": layout,
        "suffix": suffix,
        "output": {name: value for name, value in output.items() if value is not None},
        "measures": measure or [],
    }
    place: Surroundings = context.obj
    with _refusals(), _progress(out) as on_volume:
        if server is None:
            maker: Maker = Here(o.Way(out, None, as_json, device, precision, threads), place)
            plan = make_dataset(model, out, maker, on_volume, **wishes)
        else:
            with Client(server, place.settings.api_key.get_secret_value()) as client:
                plan = make_dataset(model, out, OnServer(client), on_volume, **wishes)
    if as_json:
        print_json(plan.model_dump(mode="json", exclude={"id"}))
        return
    say(f"{plan.count} volumes of seeds {plan.seed} to {plan.seed + plan.count - 1} in {out}, told by manifest.csv")


@contextmanager
def _refusals() -> Iterator[None]:
    """Raises: typer.BadParameter for what an option asks for in vain."""
    try:
        with misfits_by_option():
            yield
    except DataSetRefused as err:
        if not err.errors:
            raise
        raise typer.BadParameter("; ".join(by_option(*one) for one in err.errors)) from err


@contextmanager
def _progress(out: Path) -> Iterator[OnVolume]:
    """A bar, or where nobody watches one a line now and then. Raises: JobInterrupted, saying what is there."""
    told, lined = [0, 0], time.monotonic()
    with progress_bar("dataset", _WINDOW_S) as on_stage:

        def on_volume(done: int, total: int, left_s: float | None) -> None:
            nonlocal lined
            told[:] = done, total
            on_stage("making", done, total)
            if time.monotonic() - lined > _LINE_EVERY_S:
                lined = time.monotonic()
                left = "" if left_s is None else f", about {timedelta(seconds=round(left_s))} left"
                say(f"{done} of {total} volumes{left}", err=True)

        try:
            yield on_volume
        except (KeyboardInterrupt, JobInterrupted) as err:
            there = f"{told[0]} of {told[1]} volumes are made"
            raise JobInterrupted(f"interrupted: {there}; the same command goes on after them in {out}") from err
