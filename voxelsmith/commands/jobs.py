"""voxelsmith jobs: list, show, cancel, remove."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from contract.state import JobKind, JobState
from jobs.queue import JobQueue
from voxelsmith.client import Client
from voxelsmith.commands import options as o
from voxelsmith.commands.told.record_report import Record, asked, print_record, timings
from voxelsmith.commands.told.report import print_json, print_table, say, size_text, span_text
from voxelsmith.environment import Surroundings
from voxelsmith.queues import visited

app = typer.Typer(
    help="Jobs of a --server, of the data folder of `serve`, or at VOXELSMITH_REDIS_URL where that is set.",
    no_args_is_help=True,
)
JobIds = Annotated[list[str], typer.Argument(metavar="ID...", help="As `voxelsmith jobs list` shows them.")]
_OPEN = (JobState.QUEUED, JobState.RUNNING)


@app.command("list")
def list_jobs(
    context: typer.Context,
    state: Annotated[JobState | None, typer.Option(help="Of that state alone.")] = None,
    kind: Annotated[JobKind | None, typer.Option(help="Of that kind alone.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="With that model alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    server: o.Server = None,
    data: o.Data = None,
    as_json: o.Json = False,
) -> None:
    """Jobs with their states, newest first."""
    with _desk(context.obj, server, data) as desk:
        found = list(islice(desk.records(state, kind, model), limit + 1))
    records = found[:limit]
    if as_json:
        print_json(records)
        return
    if not records:
        say("no jobs")
        return
    print_table(["job", "what", "state", "size", "age"], [_row(record) for record in records])
    if len(found) > limit:
        say(f"the newest {limit}; --limit shows more", err=True)


@app.command()
def show(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="ID", help="As `voxelsmith jobs list` shows it.")],
    server: o.Server = None,
    data: o.Data = None,
    as_json: o.Json = False,
) -> None:
    """One job: what was asked, how far it is, its files and figures."""
    with _desk(context.obj, server, data) as desk:
        record = desk.record(job_id)
    if as_json:
        print_json(record)
        return
    say(f"job {record['id']}: {_state(record)}, made {_age(record)} ago")
    if record.get("error"):
        say(f"failed: {record['error']['detail']} ({record['error']['code']})")
    say(f"asked: {asked(record['request'])}")
    print_record(record)
    say(timings(record))


@app.command()
def cancel(context: typer.Context, job_ids: JobIds, server: o.Server = None, data: o.Data = None) -> None:
    """Stop jobs: a queued one at once, a running one after the sample in hand. What is finished is kept."""
    with _desk(context.obj, server, data) as desk:
        for job_id in job_ids:
            record = desk.cancel(job_id)
            running = record["state"] in _OPEN
            say(f"{job_id}: " + ("stops after the sample in hand" if running else str(record["state"])))


@app.command()
def remove(
    context: typer.Context,
    job_ids: JobIds,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    server: o.Server = None,
    data: o.Data = None,
) -> None:
    """Remove jobs that have ended, with all their files."""
    if not yes:
        typer.confirm(f"Remove {len(job_ids)} job{'s' * (len(job_ids) > 1)} and all files of theirs?", abort=True)
    with _desk(context.obj, server, data) as desk:
        for job_id in job_ids:
            desk.remove(job_id)
            say(f"removed {job_id}")


class Desk(Protocol):
    """Where jobs are looked at: a server, or a queue of this machine."""

    def records(self, state: str | None, kind: str | None, model: str | None) -> Iterator[Record]: ...
    def record(self, job_id: str) -> Record: ...
    def cancel(self, job_id: str) -> Record: ...
    def remove(self, job_id: str) -> None: ...


class ServersDesk:
    """The jobs of a server that its key may see."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def records(self, state: str | None, kind: str | None, model: str | None) -> Iterator[Record]:
        """Newest first."""
        for job in self._client.jobs(state=state, kind=kind, model=model):
            yield job.record

    def record(self, job_id: str) -> Record:
        """Raises: NotFound, Gone."""
        return self._client.fetch_record(job_id)

    def cancel(self, job_id: str) -> Record:
        """As `record`."""
        return self._client.cancel_job(job_id)

    def remove(self, job_id: str) -> None:
        """Raises: JobNotDone; as `record`."""
        self._client.job(job_id).remove()


class OwnDesk:
    """All jobs of a queue."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def records(self, state: str | None, kind: str | None, model: str | None) -> Iterator[Record]:
        """Newest first."""
        cursor: str | None = None
        while True:
            page = self._queue.list(state, kind, model, cursor=cursor)
            yield from (record.model_dump(mode="json") for record in page.items)
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    def record(self, job_id: str) -> Record:
        """Raises: UnknownJob, ExpiredJob, UnreadableRecord."""
        return self._queue.get(job_id).model_dump(mode="json")

    def cancel(self, job_id: str) -> Record:
        """As `record`."""
        return self._queue.cancel(job_id).model_dump(mode="json")

    def remove(self, job_id: str) -> None:
        """Raises: ResultNotReady, where it has not ended; as `record`."""
        self._queue.remove(job_id)


@contextmanager
def _desk(place: Surroundings, server: str | None, data: Path | None) -> Iterator[Desk]:
    if server is None:
        with visited(place, data) as queue:
            yield OwnDesk(queue)
    else:
        with Client(server, place.settings.api_key.get_secret_value()) as client:
            yield ServersDesk(client)


def _row(record: Record) -> tuple[str, str, str, str, str]:
    size = sum(entry["size_bytes"] for entry in (*record["results"], *record["files"]))
    what = f"{record['kind']} {record['model']}"
    return str(record["id"]), what, _state(record), size_text(size) if size else "", _age(record)


def _state(record: Record) -> str:
    progress: dict[str, Any] = record.get("progress") or {}
    is_counted = record["state"] == JobState.RUNNING and progress.get("total")
    return f"{record['state']} {progress['done']}/{progress['total']}" if is_counted else str(record["state"])


def _age(record: Record) -> str:
    made = datetime.fromisoformat(record["created_at"])
    return span_text(max(0.0, (datetime.now(UTC) - made).total_seconds()))
