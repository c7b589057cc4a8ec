"""voxelsmith verify: hash every stored result again and hold it against its job record."""

from collections.abc import Iterator

import typer

from contract.errors import ExpiredJob, UnknownJob, UnknownResult
from contract.state import JobRecord, JobState
from jobs.queue import MAX_PAGE, JobQueue
from voxelsmith.commands import options as o
from voxelsmith.commands.told.report import print_json, print_table, say
from voxelsmith.queues import visited

app = typer.Typer()


@app.command()
def verify(context: typer.Context, data: o.Data = None, as_json: o.Json = False) -> None:
    """Hash every stored result and compare with its job record. Exit code 1 when one is damaged or missing.

    Looks at the data folder of `serve`, which may be running, or at VOXELSMITH_REDIS_URL where that is set.
    """
    with visited(context.obj, data) as queue:
        rows = list(checked(queue))
    bad = [row for row in rows if row["state"] != "sound"]
    if as_json:
        print_json(rows)
    else:
        if bad:
            print_table(["job", "file", "state"], [list(row.values()) for row in bad])
        say(f"{len(rows)} files, {len(rows) - len(bad)} sound, {len(bad)} not")
    if bad:
        raise typer.Exit(1)


def checked(queue: JobQueue) -> Iterator[dict[str, str]]:
    """Job, name and state of every stored file, newest job first."""
    for record in _records(queue):
        yield from _check(queue, record)


def _records(queue: JobQueue) -> Iterator[JobRecord]:
    cursor: str | None = None
    while True:
        page = queue.list(limit=MAX_PAGE, cursor=cursor)
        yield from page.items
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def _check(queue: JobQueue, record: JobRecord) -> Iterator[dict[str, str]]:
    """A row for each file; none for those of a job that is removed or expires meanwhile."""
    for entry in (*record.results, *record.files):
        try:
            key = queue.results.result_key(record.id, entry.name, entry.sha256)
            state = "sound" if queue.results.verify(key, entry.sha256) else "damaged"
        except UnknownResult:
            if not _is_kept(queue, record.id):
                return
            state = "missing"
        yield {"job": record.id, "file": entry.name, "state": state}


def _is_kept(queue: JobQueue, job_id: str) -> bool:
    try:
        return queue.get(job_id).state is not JobState.EXPIRED
    except (UnknownJob, ExpiredJob):
        return False
