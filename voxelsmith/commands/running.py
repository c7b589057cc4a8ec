"""One job from its body to its files, in this process or by a server, with a progress bar and a report."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from contract.errors import InvalidRequest, UnreadableVolume
from contract.plain_text import plain
from contract.state import JobKind
from volumes.two_files import as_one_file
from volumes.volume import VolumeError
from volumes.whole_file import taking_the_place_of
from voxelsmith import extras
from voxelsmith.client import Client
from voxelsmith.commands.options import Way
from voxelsmith.commands.told.record_report import print_record, timings
from voxelsmith.commands.told.report import print_json, say, telling_of_others
from voxelsmith.commands.wording.option_names import by_option
from voxelsmith.environment import Surroundings
from voxelsmith.file_names import names_of, renamed
from voxelsmith.job import Job
from voxelsmith.problems import ClientError, JobFailed, JobInterrupted, JobNotDone, JobStopped, Unprocessable

Body = Mapping[str, Any]
OnStage = Callable[[str, int, int], None]
_STOP_S = 60.0
"""For a server to end a job after the sample in hand."""


class InProcess(Protocol):
    """voxelsmith.in_process, which is loaded by name because it needs torch."""

    def run_job(
        self,
        kind: JobKind,
        body: Body,
        scan: Path | None,
        way: Way,
        place: Surroundings,
        on_stage: OnStage,
        mask: Path | None = None,
        bench: Any = None,
    ) -> dict[str, Any]: ...
    def bench_of(self, way: Way, place: Surroundings) -> Any: ...
    def replay_job(
        self,
        provenance: Body,
        scan: Path | None,
        way: Way,
        place: Surroundings,
        on_stage: OnStage,
        mask: Path | None = None,
    ) -> list[dict[str, Any]]: ...
    def measure_speed(self, model: str, way: Way, place: Surroundings) -> dict[str, Any]: ...


def in_process() -> InProcess:
    """Raises: MissingExtraError without torch."""
    return cast("InProcess", extras.load("voxelsmith.in_process", "worker"))


def run_and_report(
    kind: JobKind, body: Body, scan: Path | None, way: Way, place: Surroundings, mask: Path | None = None
) -> None:
    """Raises: typer.BadParameter where the request does not fit the model, and the errors of the job."""
    with misfits_by_option(), telling_of_others(way.out):
        record = run(kind, body, scan, way, place, mask)
    if way.as_json:
        print_json(record)
        return
    print_record(record)
    say(f"{timings(record)}; files in {way.out}")


@contextmanager
def misfits_by_option() -> Iterator[None]:
    """What of a request does not fit its model, as wrong use of the options. Raises: typer.BadParameter."""
    try:
        yield
    except (InvalidRequest, Unprocessable) as err:
        if isinstance(err, UnreadableVolume) or err.code == UnreadableVolume.code:
            raise
        raise typer.BadParameter(_sentence(err)) from err


def run(
    kind: JobKind, body: Body, scan: Path | None, way: Way, place: Surroundings, mask: Path | None = None
) -> dict[str, Any]:
    """The finished job's record; its files are in `way.out`."""
    with progress_bar(kind) as on_stage, whole(scan, body.get("series")) as one, whole(mask) as its_mask:
        if way.server is None:
            return in_process().run_job(kind, body, one, way, place, on_stage, its_mask)
        with Client(way.server, place.settings.api_key.get_secret_value()) as client:
            return _by_server(client, kind, body, {"scan": one, "mask": its_mask}, way.out, on_stage)


@contextmanager
def whole(scan: Path | None, series: int | None = None) -> Iterator[Path | None]:
    """The scan's file, or what it consists of as one; `series`: of DICOM, its number. Raises: UnreadableVolume."""
    with ExitStack() as stack:
        try:
            one = None if scan is None else stack.enter_context(as_one_file(scan, series))
        except VolumeError as err:
            raise UnreadableVolume(err.detail) from err
        yield one


def _by_server(
    client: Client, kind: JobKind, body: Body, files: Mapping[str, Path | None], out: Path, on_stage: OnStage
) -> dict[str, Any]:
    """Raises: JobFailed, JobStopped, JobInterrupted; what the job had finished is in `out` nevertheless."""

    def look(record: dict[str, Any]) -> None:
        progress = record.get("progress") or {}
        on_stage(record.get("stage") or record["state"], progress.get("done", 0), progress.get("total", 0))

    job = client.submit(kind, body, scan=files["scan"], mask=files["mask"])
    try:
        job.wait(on_look=look)
    except KeyboardInterrupt as err:
        raise JobInterrupted(_stopped(job, out)) from err
    except JobFailed:
        with suppress(ClientError):
            _save(job, out)
        raise
    saved, record = _save(job, out)
    if job.state != "succeeded":
        raise JobStopped(f"job {job.id} was {job.state}; of its files, {saved} are in {out}")
    return record


def _stopped(job: Job, out: Path) -> str:
    """Ends the job, and says what of it is there."""
    with suppress(JobFailed, JobNotDone):
        job.cancel().wait(_STOP_S)
    saved, _ = _save(job, out)
    return f"interrupted: job {job.id} is {job.state}; of its files, {saved} are in {out}"


def _save(job: Job, out: Path) -> tuple[int, dict[str, Any]]:
    """All files under names that say what they hold, in provenance.json too; how many, and the record with the
    names."""
    names = names_of(job.record)
    saved = job.download_finished(out, names)
    record = {**job.record, "results": renamed(job.results, names)}
    record["files"] = renamed(list(job.record.get("files") or []), names)
    told = out / "provenance.json"
    if told in saved:
        provenance = json.loads(told.read_text())
        data = (json.dumps({**provenance, "results": renamed(provenance["results"], names)}, indent=2) + "\n").encode()
        with taking_the_place_of(told) as file:
            file.write(data)
        facts = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        record["files"] = [entry | facts if entry["name"] == told.name else entry for entry in record["files"]]
    return len(saved), record


@contextmanager
def progress_bar(title: str, window_s: float = 30.0) -> Iterator[OnStage]:
    """On standard error, and only where someone watches. `window_s`: the time left is told by what was done in it."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=window_s
    ) as progress:
        task = progress.add_task(title, total=None)

        def on_stage(name: str, done: int, total: int) -> None:
            progress.update(task, description=plain(f"{title}: {name}"), completed=done, total=total or None)

        yield on_stage


@contextmanager
def going_on(out: Path) -> Iterator[None]:
    """Around what goes on in `out` where it was stopped. Raises: JobInterrupted, for a Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as err:
        raise JobInterrupted(f"interrupted: the same command goes on after what it finished in {out}") from err


def _sentence(err: InvalidRequest | Unprocessable) -> str:
    return "; ".join(by_option(pointer, detail) for pointer, detail in err.errors) or err.detail
