"""A job run in this very process, without a queue or a server: the same payload, the same code, files in a folder.

Loaded through voxelsmith.extras, because it needs torch.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from jobs.directions import FittedDirections
from jobs.requests import JobSource
from jobs.state import JobKind, JobRecord, JobState, Progress, ResultFile
from service.registry import Registry
from service.submission import with_seed
from voxelsmith.commands.options import Way
from voxelsmith.surroundings import Surroundings
from workers.bench import Bench
from workers.run import FolderSink, parse, run


def run_job(
    kind: JobKind,
    body: Mapping[str, Any],
    scan: Path | None,
    way: Way,
    place: Surroundings,
    on_stage: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """The JobRecord of the finished job; its files are in `way.out`, and `url` says where.

    Raises: typer.BadParameter for what only a server has; the errors of jobs.errors.
    """
    request = with_seed(parse(kind, body))
    if any(isinstance(getattr(part, "source", None), JobSource) for part in (request, getattr(request, "edit", None))):
        raise typer.BadParameter("a job as the source needs the --server that ran it")
    try:
        bench = _bench(way, place)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err
    store = place.store(way.data)
    registry = Registry(bench.catalogue, store)
    card = registry.card(request.model)
    direction = registry.check(card, request)
    payload = request.model_dump(mode="json")
    if direction is not None:
        payload["direction"] = direction.card.model_dump(mode="json")
    started = datetime.now(UTC)

    def publish(found: dict[str, Any]) -> None:
        FittedDirections(store).put(card.name, found)

    manifest = run(kind, payload, scan, bench, FolderSink(way.out, on_stage), publish_direction=publish)
    record = JobRecord(
        id="in-process",
        kind=kind,
        model=card.name,
        model_sha256=card.sha256,
        state=JobState.SUCCEEDED,
        progress=Progress(done=len(manifest.results), total=len(manifest.results)),
        created_at=started,
        started_at=started,
        ended_at=datetime.now(UTC),
        attempts=1,
        request=request.model_dump(mode="json"),
        latents=manifest.latents,
        metrics=manifest.metrics,
        results=[_placed(entry, way.out) for entry in manifest.results],
        files=[_placed(entry, way.out) for entry in manifest.files],
        timings_s={"queued": 0.0, **manifest.timings_s},
    )
    return record.model_dump(mode="json")


def _bench(way: Way, place: Surroundings) -> Bench:
    """Raises: ValueError for a device or precision that this machine lacks."""
    settings = place.settings
    return Bench(
        place.catalogue,
        device=way.device or settings.device,
        precision=way.precision or settings.precision,
        threads=settings.threads if way.threads is None else way.threads,
        memory_bytes=settings.model_memory_bytes,
    )


def _placed(entry: ResultFile, folder: Path) -> ResultFile:
    return entry.model_copy(update={"url": (folder / entry.name).resolve().as_uri()})
