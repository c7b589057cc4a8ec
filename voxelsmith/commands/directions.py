"""voxelsmith directions: list, fit, remove."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import typer

from jobs.results.store import ResultStore
from service.registry import Registry
from voxelsmith.client import Client
from voxelsmith.commands import options as o
from voxelsmith.commands.bodies import compose
from voxelsmith.commands.running import run_and_report
from voxelsmith.commands.told.report import print_json, print_table, say
from voxelsmith.environment import Surroundings

app = typer.Typer(help="Named latent directions.", no_args_is_help=True)
ModelName = Annotated[str, typer.Argument(metavar="MODEL")]


@app.command("list")
def list_directions(
    context: typer.Context,
    model: ModelName,
    server: o.Server = None,
    data: o.Data = None,
    as_json: o.Json = False,
) -> None:
    """The directions of a model: those it came with and those fitted here."""
    with _shelf(context.obj, server, data) as shelf:
        directions = shelf.directions(model)
    if as_json:
        print_json(directions)
        return
    rows = [
        [*(entry.get(name) or "" for name in ("name", "method", "attribute")), *_fit(entry)] for entry in directions
    ]
    print_table(["name", "method", "attribute", "R2", "units"], rows)


@app.command()
def remove(
    context: typer.Context,
    model: ModelName,
    direction: str,
    server: o.Server = None,
    data: o.Data = None,
) -> None:
    """Remove a fitted direction. Those that came with the model stay."""
    with _shelf(context.obj, server, data) as shelf:
        shelf.remove_direction(model, direction)
    say(f"removed {direction}")


@app.command()
def fit(
    context: typer.Context,
    model: ModelName,
    name: Annotated[str | None, typer.Option(help="Of a regression's direction.")] = None,
    attribute: Annotated[str | None, typer.Option(help="What a regression follows, such as lung_volume.")] = None,
    measure: Annotated[
        Literal["volume_above", "volume_below", "mean_intensity"] | None, typer.Option(help="Of generated volumes.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of volume_above and volume_below, in the card's units.")
    ] = None,
    num_samples: Annotated[int | None, typer.Option(help="How many volumes to generate and measure.")] = None,
    sefa: Annotated[str | None, typer.Option(metavar="PREFIX", help="By SeFa instead: PREFIX-1, PREFIX-2, ...")] = None,
    count: Annotated[int | None, typer.Option(help="How many of --sefa.")] = None,
    unit_rows: Annotated[
        bool | None,
        typer.Option("--unit-rows", help="Of --sefa: scale the weights' rows to length 1, as its authors do."),
    ] = None,
    transform: Annotated[
        Literal["none", "log"] | None, typer.Option(help="Of a regression's attribute, above 0 for log.")
    ] = None,
    ridge: Annotated[
        str | None, typer.Option(metavar="NUMBER|cross-validation", help="Of a regression; 1e-4 without it.")
    ] = None,
    out: o.Out = Path("voxelsmith-out"),
    request: o.RequestFile = None,
    server: o.Server = None,
    webhook: o.Webhook = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    data: o.Data = None,
    as_json: o.Json = False,
) -> None:
    """Find a direction: by regression on a measurement, or by SeFa from the weights.

    --request FILE takes the JSON body of POST /models/{name}/directions, also with labelled samples.
    """
    fitted = {
        "method": "sefa" if sefa else "regression" if name or measure else None,
        "name": name,
        "attribute": attribute or measure if name or measure else None,
        "measure": {"name": measure, **({"threshold": threshold} if threshold is not None else {})}
        if measure
        else None,
        "num_samples": num_samples,
        "name_prefix": sefa,
        "count": count,
        "unit_rows": unit_rows,
        "transform": transform,
        "ridge": _ridge(ridge),
        "webhook": webhook,
    }
    body = compose("fit_direction", request, model, **fitted)
    way = o.Way(out, server, as_json, device, precision, threads, data)
    run_and_report("fit_direction", body, None, way, context.obj)


def _fit(entry: dict[str, Any]) -> tuple[str, str]:
    r2 = entry.get("r2")
    return "" if r2 is None else f"{r2:.2f}", entry.get("units") or ""


def _ridge(given: str | None) -> float | str | None:
    """A number, or the words as they are, which the body refuses where they are not its own."""
    try:
        return given if given is None else float(given)
    except ValueError:
        return given


class Shelf(Protocol):
    """Where directions are listed and removed: a server's, or this machine's."""

    def directions(self, model: str) -> list[dict[str, Any]]: ...
    def remove_direction(self, model: str, direction: str) -> None: ...


class LocalShelf:
    """The shipped directions and those in a data folder's store."""

    def __init__(self, place: Surroundings, store: ResultStore) -> None:
        self._registry = Registry(place.catalogue, store)

    def directions(self, model: str) -> list[dict[str, Any]]:
        """Raises: UnknownModel, ModelBroken."""
        card = self._registry.card(model)
        return [entry.summary(card) for entry in self._registry.directions(card)]

    def remove_direction(self, model: str, direction: str) -> None:
        """Raises: UnknownModel, ModelBroken, UnknownDirection, DirectionShipped."""
        self._registry.remove_direction(self._registry.card(model), direction)


@contextmanager
def _shelf(place: Surroundings, server: str | None, data: Path | None) -> Iterator[Shelf]:
    if server is None:
        yield LocalShelf(place, place.store(data))
    else:
        with Client(server, place.settings.api_key.get_secret_value()) as client:
            yield client
