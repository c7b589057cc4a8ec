"""voxelsmith workers: list, drain, resume."""

import time
from typing import Annotated, Any

import typer

from jobs.overview import Overview, Worker
from voxelsmith.commands import options as o
from voxelsmith.commands.told.report import print_json, print_table, say
from voxelsmith.queues import visited

app = typer.Typer(
    help="Workers, in the data folder of `serve` or at VOXELSMITH_REDIS_URL where that is set.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A worker or a host, as `voxelsmith workers list` shows it.")]
_LOOK_S = 0.25


@app.command("list")
def list_workers(context: typer.Context, data: o.Data = None, as_json: o.Json = False) -> None:
    """All workers that show signs of life, and names that are drained."""
    with visited(context.obj, data) as queue:
        overview = Overview(queue.redis, queue.settings)
        names = overview.draining()
        rows = [_fields(worker, names) for worker in overview.workers()]
    if as_json:
        print_json({"workers": rows, "drained": sorted(names)})
        return
    print_table(["name", "host", "device", "state", "job", "models"], [_row(fields) for fields in rows])
    if names:
        say(f"drained: {', '.join(sorted(names))}")


@app.command()
def drain(
    context: typer.Context,
    name: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Return when its last job has ended.")] = False,
    data: o.Data = None,
) -> None:
    """Let a worker, or every worker of a host, end its job and take no more, until `resume`. No job is lost.

    A host stays drained when its workers are started anew; a worker's name goes with the worker.
    """
    with visited(context.obj, data) as queue:
        overview = Overview(queue.redis, queue.settings)
        overview.drain(name)
        while wait and any(_is_busy(worker) for worker in _named(overview, name)):
            time.sleep(_LOOK_S)
    say(f"drained {name}")


@app.command()
def resume(context: typer.Context, name: Name, data: o.Data = None) -> None:
    """Let a drained worker or host take jobs again."""
    with visited(context.obj, data) as queue:
        if not Overview(queue.redis, queue.settings).resume(name):
            raise typer.BadParameter("nothing of that name is drained")
    say(f"resumed {name}")


def _named(overview: Overview, name: str) -> list[Worker]:
    return [worker for worker in overview.workers() if name in (worker.name, worker.about.get("host"))]


def _is_busy(worker: Worker) -> bool:
    """A worker that has not heard of it yet may be about to take a job."""
    return not worker.about.get("draining") or worker.about.get("job") is not None


def _fields(worker: Worker, names: set[str]) -> dict[str, Any]:
    about = worker.about
    drained = about.get("draining") or bool(names & {worker.name, str(about.get("host"))})
    work = "working" if about.get("job") else "idle"
    return {
        "name": worker.name,
        "host": about.get("host"),
        "device": about.get("device"),
        "state": "stopping" if about.get("stopping") else f"drained, {work}" if drained else work,
        "job": about.get("job"),
        "models": sorted(about.get("models", ())),
        "last_heartbeat": worker.last_heartbeat.isoformat(timespec="seconds"),
    }


def _row(fields: dict[str, Any]) -> list[str]:
    facts = [str(fields[name] or "") for name in ("name", "host", "device", "state", "job")]
    return [*facts, " ".join(fields["models"])]
