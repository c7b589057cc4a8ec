"""voxelsmith serve, api, worker: the whole service, or one of its two roles."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Annotated

import typer

from jobs.connection import check_server, connect
from jobs.logs import configure
from jobs.settings import Settings
from jobs.stopping import StopWish
from service.main import check_surroundings, make_server
from voxelsmith import extras
from voxelsmith.commands import options as o
from voxelsmith.local import Stack, StackError
from voxelsmith.surroundings import Surroundings
from workers.supervisor import Supervisor

app = typer.Typer()
Host = Annotated[
    str | None,
    typer.Option("--host", help="Address to listen on; if not loopback, keys are needed. [127.0.0.1]"),
]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free one. [8000]")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes per device (more than one on the CPU only).")]
AnyDevice = Annotated[str | None, typer.Option("--device", metavar="cpu|cuda:N|all", help="all: every CUDA device.")]


@app.command()
def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    data: o.Data = None,
    workers: Workers = 1,
    device: AnyDevice = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Start everything: embedded Valkey, API and workers. Ctrl-C stops it all; jobs stay."""
    place: Surroundings = context.obj
    extras.require("torch", "worker")
    settings = _changed(place.settings, host=host, port=port, device=device, precision=precision, threads=threads)
    configure(settings.log_format)
    stopping = StopWish()
    _on_signals(stopping.set)
    with Stack(data or place.data, settings, workers) as stack:
        typer.echo(f"Voxelsmith is listening on {stack.url}")
        typer.echo(f"API docs: {stack.url}/docs   data: {stack.data}   Ctrl-C stops it")
        stack.watch(stopping)
        typer.echo("stopping: workers finish the sample in hand; Ctrl-C again stops at once")
    typer.echo("stopped")


@app.command()
def api(context: typer.Context, host: Host = None, port: Port = None) -> None:
    """The HTTP API alone, against VOXELSMITH_REDIS_URL and VOXELSMITH_STORE_URL."""
    place: Surroundings = context.obj
    settings = _changed(place.settings, host=host, port=port)
    configure(settings.log_format)
    try:
        check_surroundings(settings)
        server = make_server(settings)
    except ValueError as err:
        raise StackError(str(err)) from err
    _on_signals(lambda: None)  # uvicorn ends in good order and then raises its signal once more, for us
    server.run()


@app.command()
def worker(
    context: typer.Context,
    device: AnyDevice = None,
    workers: Workers = 1,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Supervised workers alone, against VOXELSMITH_REDIS_URL and VOXELSMITH_STORE_URL."""
    place: Surroundings = context.obj
    extras.require("torch", "worker")
    settings = _changed(place.settings, device=device, precision=precision, threads=threads)
    configure(settings.log_format)
    with connect(settings) as redis:
        check_server(redis, settings)
    supervisor = Supervisor(settings, workers)
    _on_signals(supervisor.stop)
    if supervisor.run() != 0:
        raise StackError("no worker can work here; the log above says why")


def _changed(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={name: value for name, value in changes.items() if value is not None})


def _on_signals(stop: Callable[[], object]) -> None:
    """The first SIGINT, SIGTERM or SIGHUP asks for an orderly end, another one does not wait for it."""
    is_asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_asked
        if is_asked:
            raise KeyboardInterrupt
        is_asked = True
        stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
