"""voxelsmith du: what lies on the disk, and which jobs take most of it."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from contract.errors import StoreUnavailable
from jobs.settings import Settings, is_bucket, local_path
from model_store.catalogue import SHIPPED
from voxelsmith.commands import options as o
from voxelsmith.commands.told.report import print_json, print_table, say, size_text
from voxelsmith.environment import Surroundings, store_url

app = typer.Typer()
Usage = dict[str, object]


@app.command()
def du(
    context: typer.Context,
    top: Annotated[int, typer.Option(min=0, help="How many of the largest jobs to name.")] = 5,
    data: o.Data = None,
    as_json: o.Json = False,
) -> None:
    """Disk space: results, uploads, the queue's log, models and their cache, and the jobs that take most.

    Looks at the data folder of `serve`, which may be running, or at VOXELSMITH_STORE_URL where that is a folder.
    """
    place: Surroundings = context.obj
    store = _store(place, data)
    rows = [*_parts(place, data, store)]
    jobs = _by_job(store / "results").most_common(top)
    if as_json:
        print_json({"parts": rows, "largest_jobs": [{"job": job, "size_bytes": size} for job, size in jobs]})
        return
    print_table(["what", "size", "files", "where"], [_row(row) for row in rows])
    if jobs:
        say("")
        print_table(["largest jobs", "size"], [(job, size_text(size)) for job, size in jobs])
        say("`voxelsmith jobs remove ID` frees what a job takes.")


def _store(place: Surroundings, data: Path | None) -> Path:
    """The folder of results. Raises: StoreUnavailable where they are in a bucket."""
    settings = place.settings
    if data is None and "store_url" in settings.model_fields_set:
        if is_bucket(settings.store_url):
            raise StoreUnavailable(
                "The results lie in a bucket, whose own tools tell their size; --data names a folder."
            )
        return local_path(settings.store_url)
    return local_path(store_url(data or place.data))


def _parts(place: Surroundings, data: Path | None, store: Path) -> Iterator[Usage]:
    settings: Settings = place.settings
    folders = {
        "results": store / "results",
        "uploads": store / "uploads",
        "fitted directions": store / "directions",
        "queue": store.parent / "queue" if data is not None or "store_url" not in settings.model_fields_set else None,
        "models": settings.models_path,
        "models that ship": SHIPPED,
        "cache of models in a bucket": settings.model_cache if is_bucket(settings.models_url) else None,
    }
    for what, folder in folders.items():
        if folder is not None:
            sizes = [size for _, size in _files(folder)]
            yield {"what": what, "size_bytes": sum(sizes), "files": len(sizes), "where": str(folder)}


def _row(row: Usage) -> tuple[object, ...]:
    size = row["size_bytes"]
    assert isinstance(size, int)
    return row["what"], size_text(size), row["files"], row["where"]


def _by_job(results: Path) -> Counter[str]:
    taken: Counter[str] = Counter()
    for path, size in _files(results):
        taken[path.relative_to(results).parts[0]] += size
    return taken


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Every file below a folder with its size in bytes; one that goes meanwhile counts as gone."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            try:
                yield path, path.lstat().st_size
            except OSError:
                continue
