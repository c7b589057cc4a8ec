"""A job run in this very process, without a queue or a server: the same payload, the same code, files in a folder.

Loaded through voxelsmith.extras, because it needs torch.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from contract.errors import StoreFull
from contract.fields import LikeGrid
from contract.fit import made_by
from contract.requests import AnyRequest
from contract.state import JobKind, JobRecord, JobState, Progress, ResultFile
from jobs.results.directions import FittedDirections
from model_store.card import AnyCard, ModelCard
from service.registry import Registry
from volumes.formats import BY_NAME
from voxelsmith.commands.options import Way
from voxelsmith.environment import Surroundings
from voxelsmith.file_names import Names
from voxelsmith.problems import JobInterrupted
from workers.bench import Bench
from workers.device.devices import check_device, devices
from workers.run import parse, replay, run
from workers.speed import measure
from workers.writing.folder_sink import FolderSink

LEAST_SHARE = 0.1
"""Of their voxels' bytes: what volumes that pack well take."""
BYTES = {"int16": 2, "uint8": 1, "float32": 4}


def run_job(
    kind: JobKind,
    body: Mapping[str, Any],
    scan: Path | None,
    way: Way,
    place: Surroundings,
    on_stage: Callable[[str, int, int], None],
    mask: Path | None = None,
    bench: Bench | None = None,
) -> dict[str, Any]:
    """The JobRecord of the finished job; its files are in `way.out`, and `url` says where. `bench`: of a job before it.

    Raises: typer.BadParameter for what only a server has; JobInterrupted; the errors of contract.errors.
    """
    request = parse(kind, body)
    if request.names_job or isinstance(request.output.grid, LikeGrid):
        raise typer.BadParameter("a job as the source, or whose grid is taken, needs the --server that ran it")
    if request.notifies is not None:
        raise typer.BadParameter("a webhook is sent by a service: name its --server")
    bench = bench or bench_of(way, place)
    card = bench.card(request.model)
    request.check(card)
    payload: dict[str, Any] = request.model_dump(mode="json")
    store = place.store(way.data) if _needs_store(request, bench) else None
    direction = Registry(bench.catalogue, store).check(card, request) if store else None
    if direction is not None:
        payload["direction"] = direction.card.model_dump(mode="json")
    _check_room(way.out, request, card)
    started = datetime.now(UTC)

    def publish(found: dict[str, Any]) -> None:
        assert store is not None
        FittedDirections(store).put(card.name, found)

    sink = FolderSink(way.out, on_stage, has_notes=True)
    names = Names(kind, payload)
    try:
        manifest = run(kind, payload, scan, bench, sink, publish_direction=publish, mask_path=mask, stem=names)
    except KeyboardInterrupt as err:
        raise JobInterrupted(_interrupted(request, body, sink)) from err
    sink.finish()
    record = JobRecord(
        id="in-process",
        kind=kind,
        model=card.name,
        model_sha256=card.sha256,
        state=JobState.SUCCEEDED,
        progress=Progress(done=len(manifest.results), total=len(manifest.results)),
        volumes=request.volumes,
        created_at=started,
        started_at=started,
        ended_at=datetime.now(UTC),
        attempts=1,
        request=request.model_dump(mode="json"),
        latents=manifest.latents,
        placement=manifest.placement,
        warnings=manifest.warnings,
        assumed=manifest.assumed,
        metrics=manifest.metrics,
        results=[_placed(entry, way.out) for entry in manifest.results],
        files=[_placed(entry, way.out) for entry in manifest.files],
        timings_s={"queued": 0.0, **manifest.timings_s},
    )
    return record.model_dump(mode="json")


def replay_job(
    provenance: Mapping[str, Any],
    scan: Path | None,
    way: Way,
    place: Surroundings,
    on_stage: Callable[[str, int, int], None],
    mask: Path | None = None,
) -> list[dict[str, Any]]:
    """The results of the job that a provenance.json tells of, made again into `way.out`.

    Raises: typer.BadParameter; as workers.run.replay.
    """
    request = provenance.get("request") or {}
    names = Names(str(provenance.get("kind")), request, is_placed=bool(provenance.get("placement")))
    manifest = replay(provenance, scan, bench_of(way, place), FolderSink(way.out, on_stage), mask, names)
    return [_placed(entry, way.out).model_dump(mode="json") for entry in manifest.results]


def _interrupted(request: AnyRequest, body: Mapping[str, Any], sink: FolderSink) -> str:
    """What is there, and how to go on."""
    if not sink.results:
        return f"interrupted before the first volume; nothing is in {sink.folder}"
    drawn = [
        f" --{name.replace('_', '-')} {getattr(request, name)}"
        for name in ("seed", "noise_seed")
        if body.get(name) is None and getattr(request, name, None) is not None
    ]
    how = f" with{''.join(drawn)}" if drawn else ""
    following = f"the same command{how} goes on after them" if request.goes_on else "the same command begins anew"
    there = f"{len(sink.results)} of {request.volumes} volumes are in {sink.folder}, with their provenance.json"
    return f"interrupted: {there}; {following}"


def measure_speed(model: str, way: Way, place: Surroundings) -> dict[str, Any]:
    """The fields of a workers.speed.Speed. Raises: typer.BadParameter; as workers.speed.measure."""
    bench = bench_of(way, place)
    card = bench.card(model)
    if not isinstance(card, ModelCard):
        raise typer.BadParameter("the speed of a translator depends on its scan; name a model that generates")
    return asdict(measure(bench, model))


def _check_room(out: Path, request: AnyRequest, card: AnyCard) -> None:
    """Raises: StoreFull, where the volumes cannot fit however well they pack. A translator's are as large as its scan,
    which nobody has read yet."""
    out.mkdir(parents=True, exist_ok=True)
    packed = LEAST_SHARE if BY_NAME[request.output.format].is_packed else 1.0
    voxels = math.prod(request.output.sides(*made_by(card))) if isinstance(card, ModelCard) else 0
    voxels = 0 if request.output.crop else voxels
    least = int(packed * request.volumes * voxels * BYTES[request.output.dtype])
    free = shutil.disk_usage(out).free
    if free < least:
        raise StoreFull(f"{out} has room for {free >> 20} MiB; the volumes take {least >> 20} MiB at least.")


def _needs_store(request: AnyRequest, bench: Bench) -> bool:
    """Whether the job makes a direction, or follows one that did not come with the model."""
    shipped = {entry["name"] for entry in bench.catalogue.directions(request.model)}
    return bool(request.directions) or request.follows not in {None, *shipped}


def bench_of(way: Way, place: Surroundings) -> Bench:
    """For one job or several. Raises: typer.BadParameter for a device or precision that this machine lacks."""
    settings = place.settings
    device, precision = way.device or settings.device, way.precision or settings.precision
    try:
        check_device(device, precision)
        return Bench(
            place.catalogue,
            device=devices(device)[0],
            precision=precision,
            threads=settings.threads if way.threads is None else way.threads,
            memory_bytes=settings.model_memory_bytes,
            low_memory=settings.low_memory,
            limit_bytes=settings.memory_limit_bytes,
        )
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err


def _placed(entry: ResultFile, folder: Path) -> ResultFile:
    return entry.model_copy(update={"url": (folder / entry.name).resolve().as_uri()})
