"""voxelsmith serve, api, worker: the whole service, or one of its two roles."""

import logging
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from jobs.connection import check_server, connect
from jobs.logs import configure
from jobs.settings import Settings, root_path_of
from jobs.stop_wish import StopWish
from service.key_rule import MAKE_A_KEY
from service.main import check_surroundings, make_server
from voxelsmith import extras
from voxelsmith.commands import options as o
from voxelsmith.commands.told.report import say
from voxelsmith.environment import NO_MODELS, Surroundings
from voxelsmith.local import Stack, StackError
from workers.device.devices import check_device
from workers.supervisor import Supervisor

log = logging.getLogger("voxelsmith.serve")
app = typer.Typer()
Host = Annotated[
    str | None,
    typer.Option("--host", help="Address to listen on; if not loopback, keys are needed. [127.0.0.1]"),
]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free one. [8000]")]
RootPath = Annotated[
    str | None,
    typer.Option("--root-path", metavar="/PATH", help="The path that a proxy has the service under, where it has one."),
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes per device (more than one on the CPU only).")]
AnyDevice = Annotated[str | None, typer.Option("--device", metavar="cpu|cuda:N|all", help="all: every CUDA device.")]


@app.command()
def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    root_path: RootPath = None,
    data: o.Data = None,
    workers: Workers = 1,
    device: AnyDevice = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
) -> None:
    """Start everything: embedded Valkey, API and workers. Ctrl-C stops it all; jobs stay."""
    place: Surroundings = context.obj
    extras.require("torch", "worker")
    at = {"host": host, "port": port, "root_path": _path(root_path)}
    settings = _changed(place.settings, **at, device=device, precision=precision, threads=threads)
    _check(settings)
    _begin(place, settings)
    stopping = StopWish()
    _on_signals(stopping.set)
    with _advising(place, data), Stack(data or place.data, settings, workers) as stack:
        say(f"Voxelsmith is listening on {stack.url}")
        say(f"API docs: {stack.url}/docs   data: {stack.data}   Ctrl-C stops it")
        stack.watch(stopping)
        say("stopping: workers finish the sample in hand; Ctrl-C again stops at once")
    say("stopped")


@app.command()
def api(context: typer.Context, host: Host = None, port: Port = None, root_path: RootPath = None) -> None:
    """The HTTP API alone, against VOXELSMITH_REDIS_URL and VOXELSMITH_STORE_URL."""
    place: Surroundings = context.obj
    settings = _changed(place.settings, host=host, port=port, root_path=_path(root_path))
    _begin(place, settings)
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
    _check(settings)
    _begin(place, settings)
    with connect(settings) as redis:
        check_server(redis, settings)
    supervisor = Supervisor(settings, workers)
    _on_signals(supervisor.stop)
    if supervisor.run() != 0:
        raise StackError("no worker can work here; the log above says why")


def _changed(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={name: value for name, value in changes.items() if value is not None})


def _path(given: str | None) -> str | None:
    """Raises: typer.BadParameter for what is no path."""
    try:
        return None if given is None else root_path_of(given)
    except ValueError as err:
        raise typer.BadParameter(f"--root-path {err}") from err


def _check(settings: Settings) -> None:
    """Raises: typer.BadParameter for a device or precision that no worker here could use."""
    try:
        check_device(settings.device, settings.precision)
    except ValueError as err:
        raise typer.BadParameter(str(err)) from err


def _begin(place: Surroundings, settings: Settings) -> None:
    """Logging, and what an operator should know at once."""
    configure(settings.log_format)
    if place.lacks_models:
        log.warning("%s: %s; until there is, only the shipped models are served", place.models, NO_MODELS)


@contextmanager
def _advising(place: Surroundings, data: Path | None) -> Iterator[None]:
    """Where `keys create` would not find the folder of this service by itself, the advice to use it names the folder.

    Raises: StackError.
    """
    try:
        yield
    except StackError as err:
        if data is None and "redis_url" not in place.settings.model_fields_set:
            raise
        whole = f"{MAKE_A_KEY} --data {shlex.quote(str(data or place.data))}"
        raise StackError(str(err).replace(MAKE_A_KEY, whole)) from err


def _on_signals(stop: Callable[[], object]) -> None:
    """The first SIGINT, SIGTERM or SIGHUP asks for an orderly end, another one does not wait for it.

    `nohup` has SIGHUP ignored, here and in all that is started from here; so it stays.
    """
    is_asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_asked
        if is_asked:
            raise KeyboardInterrupt
        is_asked = True
        stop()

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, ask)
