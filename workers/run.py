"""run: a payload and perhaps a scan to a manifest, whichever way it came. Knows neither the queue nor the store."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contract.errors import (
    InvalidRequest,
    JobCanceled,
    OutOfMemory,
    UnknownDirection,
    UnreadableVolume,
    VoxelsmithError,
)
from contract.fit import followed_direction
from contract.requests import REQUESTS, AnyRequest
from contract.state import JobKind, Manifest, Placement
from model_store.card import AnyCard, DirectionCard
from volumes.files import read
from volumes.reader_limits import Limits
from volumes.volume import Volume, VolumeError
from workers.bench import Bench
from workers.device.precision import kind_of
from workers.recipes import RECIPES, Job
from workers.steps.recipe_events import Event, Finding, Finished, Product, Stage
from workers.writing.provenance import origin, replay_record, replayed
from workers.writing.units import assumed_of
from workers.writing.write_behind import WriteBehind
from workers.writing.writer import Sink, Stem, Writer, numbered

_SOONEST_S = 0.5
"""The time left is not told from less work than this."""
BESIDE_THE_REQUEST = frozenset({"upload", "mask", "direction", "placement", "owner"})
"""Keys of a payload that are no part of the request: the stored scan and its mask, the direction that an edit follows,
where the scan is that its volumes are laid on, and the API key whose fitted directions will be."""


def run(
    kind: JobKind,
    payload: Mapping[str, Any],
    scan_path: Path | None,
    bench: Bench,
    sink: Sink,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
    publish_direction: Callable[[dict[str, Any]], None] | None = None,
    mask_path: Path | None = None,
    stem: Stem = numbered,
) -> Manifest:
    """Does one job: each volume goes to the sink as it is made, and the manifest says what was made.

    `payload` is the request's fields, job sources resolved, and beside them `direction` (a DirectionCard's fields)
    where an edit follows one that does not ship with the model, and `placement` where its volumes are laid on a scan.
    The same payload, files, model, device type and version give the same bytes. `publish_direction` takes each fitted
    one to where directions live. `mask_path`: of pathologies, on the scan's grid. `stem` names the volumes' files.

    Raises:
        InvalidRequest, UnreadableVolume, NotFound: the job does not fit the model or its scan.
        JobFailure: it cannot be done.
        JobCanceled, LeaseLost, JobHandedBack: from the sink.
        KeyboardInterrupt: from the terminal; what was finished is kept with its provenance, as of a canceled job.
    """
    request = parse(kind, payload)
    card = bench.card(request.model)
    request.check(card)
    direction = followed_direction(card, request, partial(_direction, payload, bench, card))
    scan = _scan(scan_path, limits) if request.takes_scan else None
    if scan is not None:
        request.check_scan(scan.shape, scan.spacing_mm)
    bench.require_memory(request, None if scan is None else scan.shape)
    placement = Placement.model_validate(payload["placement"]) if payload.get("placement") else None
    record = replay_record(request, card, direction, placement, scan_path, bench, mask_path)
    clock = Clock()
    with _plain_failures(), tempfile.TemporaryDirectory(prefix="voxelsmith-") as scratch:
        writer = Writer(card, request.output, Path(scratch), sink, origin(record, request), stem)
        found: dict[str, Any] = {}
        with WriteBehind(writer.keep_volume) as behind:
            try:
                finished = writer.resume(record, kind_of(bench.device)) if request.goes_on else 0
                digest = (record["scan"] or {}).get("sha256", "")
                tried = [entry.seeds_tried or () for entry in writer.results]
                mask = _scan(mask_path, limits)
                job = Job(request, bench, scan, direction, placement, finished, digest, mask, tried)
                del scan  # the job's from here on
                found["assumed"] = _assumed(job, writer)
                for event in RECIPES[request.kind](job):
                    _take(event, writer, behind, sink, clock, found)
                    if publish_direction is not None and isinstance(event, Finding) and event.direction is not None:
                        publish_direction(event.direction.model_dump(mode="json"))
                return _close(writer, behind, clock, found, record)
            except (JobCanceled, VoxelsmithError, KeyboardInterrupt):
                with suppress(VoxelsmithError):
                    behind.settle()
                    if writer.results:  # which are kept, and can be replayed
                        _close(writer, behind, clock, found, record)
                raise


def replay(
    provenance: Mapping[str, Any],
    scan_path: Path | None,
    bench: Bench,
    sink: Sink,
    mask_path: Path | None = None,
    stem: Stem = numbered,
) -> Manifest:
    """Does again what a provenance.json tells of. On the same device type and version the bytes are the same.

    Raises:
        InvalidRequest: no provenance record, other weights under the model's name, or another scan or mask; and as
            `run`.
    """
    kind, payload = replayed(provenance, scan_path, bench, mask_path)
    return run(kind, payload, scan_path, bench, sink, mask_path=mask_path, stem=stem)


def parse(kind: JobKind, payload: Mapping[str, Any]) -> AnyRequest:
    """The request of a payload, by the classes that parsed the HTTP body, what it leaves to chance drawn.

    Raises:
        InvalidRequest: malformed.
    """
    body = {key: value for key, value in payload.items() if key not in BESIDE_THE_REQUEST}
    try:
        request = REQUESTS[kind].model_validate(body)
    except ValidationError as err:
        problems = err.errors(include_input=False, include_url=False, include_context=False)
        errors = [("/" + "/".join(str(part) for part in p["loc"]), p["msg"]) for p in problems]
        raise InvalidRequest("The request is not valid.", errors) from err
    return request.settled()


class Clock:
    """Seconds per stage; what is timed belongs to the stage entered last. "write" is what the job waited for: most of
    the writing happens while the next volume is made."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._stage = "load"
        self._first: tuple[float, float] | None = None
        self._spent: dict[str, float] = defaultdict(float, load=0.0, forward=0.0, write=0.0)

    def enter(self, stage: str) -> None:
        now = time.perf_counter()
        self._spent[self._stage] += now - self._last
        self._stage, self._last = stage, now

    def left_s(self, share: float | None) -> float | None:
        """Until all is done, where `share` of it is: as fast as since the first share that was told. None too early."""
        if share is None:
            return None
        if self._first is None:
            self._first = share, self._last
        first, began = self._first
        spent = self._last - began
        if share <= first or spent < _SOONEST_S:
            return None
        return spent * (1 - share) / (share - first)

    def timings_s(self) -> dict[str, float]:
        self.enter(self._stage)
        return {name: round(spent, 6) for name, spent in self._spent.items()} | {
            "total": round(self._last - self._start, 6)
        }


def _scan(path: Path | None, limits: Limits) -> Volume | None:
    """The scan that came along. Raises: UnreadableVolume."""
    if path is None:
        return None
    try:
        return read(path, limits)
    except VolumeError as err:
        raise UnreadableVolume(err.detail) from err


def _assumed(job: Job[Any], writer: Writer) -> list[str]:
    """Of the scan, which goes into what lies on it, and of the files that are written."""
    of_scan = [*job.scan.assumed] if job.scan is not None else [*job.placement.assumed] if job.placement else []
    if of_scan:
        writer.origin = writer.origin | {"assumed": of_scan}
    of_mask = job.mask.assumed if job.mask is not None else ()
    return [*dict.fromkeys((*of_scan, *of_mask, *assumed_of(writer.output)))]


def _take(event: Event, writer: Writer, behind: WriteBehind, sink: Sink, clock: Clock, found: dict[str, Any]) -> None:
    behind.check()
    if isinstance(event, Stage):
        clock.enter(event.name)
        sink.stage(event.name, event.done, event.total, clock.left_s(event.share))
    elif isinstance(event, Product):
        clock.enter("write")
        behind.put(event)
    elif isinstance(event, Finished):
        writer.keep_latent(event.latent)
    else:
        clock.enter("write")
        if event.direction is not None:
            writer.keep_direction(event.direction)
        if event.latents is not None:
            found["latents"] = event.latents
        if event.placement is not None:
            found["placement"] = event.placement
        found["warnings"] = [*found.get("warnings", []), *event.warnings]
        if event.metrics is not None:
            found["metrics"] = found.get("metrics", {}) | event.metrics


def _close(
    writer: Writer, behind: WriteBehind, clock: Clock, found: Mapping[str, Any], record: Mapping[str, Any]
) -> Manifest:
    """The volume in flight, companion files, then the manifest."""
    clock.enter("write")
    behind.settle()
    latents = found.get("latents")
    writer.keep_latents(latents)
    writer.keep_provenance(record)
    return writer.manifest(
        latents=None if latents is None else [latent.values.tolist() for latent in latents],
        placement=found.get("placement"),
        warnings=found.get("warnings", []),
        assumed=found.get("assumed", []),
        metrics=found.get("metrics"),
        timings_s=clock.timings_s(),
    )


def _direction(payload: Mapping[str, Any], bench: Bench, card: AnyCard, name: str) -> DirectionCard:
    """The one of that name that came with the job, or else with the model. Raises: UnknownDirection."""
    given = payload.get("direction")
    for direction in bench.catalogue.directions(card.name) if given is None else [given]:
        if direction["name"] == name:
            return DirectionCard.model_validate(direction)
    raise UnknownDirection("This model has no direction of that name.")


@contextmanager
def _plain_failures() -> Iterator[None]:
    """Python's own lack of memory as the error that a user can meet."""
    try:
        yield
    except MemoryError as err:
        raise OutOfMemory("The worker has too little memory for this job.") from err
