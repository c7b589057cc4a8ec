"""The whole service on one machine: embedded Valkey, API and supervised workers on one data folder.

The API and the supervisor are threads of this process; Valkey and the workers are processes. Workers end with this
process however it ends. Valkey outlives it if it is killed, and the next stack on the folder stops that orphan first.
"""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import uvicorn
from pydantic import SecretStr

from contract.errors import VoxelsmithError
from jobs.connection import connect
from jobs.settings import Settings
from jobs.stop_wish import StopWish
from jobs.upkeep import Upkeep
from service.main import check_surroundings, make_server
from voxelsmith.data_folder import DataFolderError, make_private
from voxelsmith.embedded_valkey import EmbeddedValkey
from voxelsmith.environment import store_url
from workers.supervisor import Supervisor

START_S = 30.0
_LOOK_S = 0.25
log = logging.getLogger("voxelsmith.local")


class StackError(Exception):
    """The stack cannot start, or a part of it cannot go on; the message is for the user."""


class Stack:
    """start() or `with`; `url`; watch() until stop is asked for; stop()."""

    def __init__(self, data: Path, settings: Settings, workers: int = 1) -> None:
        """`data`: the queue's log, the results, fitted directions. `settings`: host, port, device, ...

        `workers`: processes per device (more than one on the CPU only).
        """
        self.data = data.resolve()
        self.valkey = EmbeddedValkey(self.data / "queue", settings.queue_memory_bytes)
        changes = {"redis_url": SecretStr(self.valkey.url), "store_url": store_url(self.data), "ephemeral": False}
        self.settings = settings.model_copy(update=changes)
        self._workers = workers
        self._started = contextlib.ExitStack()
        self._threads: dict[str, threading.Thread] = {}
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns once the API answers; workers may still be loading. Raises: StackError, DataFolderError."""
        with contextlib.ExitStack() as undo:
            self._close_to_others()
            listener = undo.enter_context(listen(self.settings.host, self.settings.port))
            self.valkey.start()
            undo.callback(self.valkey.stop)
            self._check()
            supervisor = Supervisor(self.settings, self._workers)
            undo.callback(self._leave_none_running, supervisor)
            self._run("workers", supervisor.run, undo, supervisor.stop)
            server = make_server(self.settings)
            # uvicorn sets its own level when configured; it is to be as talkative as everything else here.
            logging.getLogger("uvicorn.error").setLevel(log.getEffectiveLevel())
            self._run("api", lambda: server.run(sockets=[listener]), undo, lambda: _end(server))
            self._await_api(server)
            host, port = listener.getsockname()[:2]
            self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            self._started = undo.pop_all()

    def stop(self) -> None:
        """API first, then the workers (who hand back what they cannot finish), Valkey last."""
        self._started.close()

    def watch(self, stopping: StopWish) -> None:
        """Looks after the parts until `stopping` is set; restarts a Valkey that died. Raises: StackError."""
        while not stopping.wait(_LOOK_S):
            if not self.valkey.is_running:
                log.error("Valkey ended unexpectedly: starting it again")
                self.valkey.restart()
            for name, thread in self._threads.items():
                if not thread.is_alive():
                    raise StackError(f"the {name} ended unexpectedly; the log above says why")

    def _leave_none_running(self, supervisor: Supervisor) -> None:
        """Where the end did not wait for the workers: their jobs go back as they are, which is nobody's fault."""
        supervisor.kill()
        with contextlib.suppress(VoxelsmithError), connect(self.settings, retries=0) as redis:
            Upkeep(redis, self.settings).hand_back_all()

    def _close_to_others(self) -> None:
        """Raises: DataFolderError."""
        try:
            make_private(self.data)
        except OSError as err:
            raise DataFolderError(f"cannot use {self.data}: {err.strerror or 'input/output error'}") from err

    def _check(self) -> None:
        """Raises: StackError where the service would be open to other machines without a key."""
        try:
            check_surroundings(self.settings)
        except ValueError as err:
            raise StackError(str(err)) from err

    def _run(
        self, name: str, work: Callable[[], object], undo: contextlib.ExitStack, end: Callable[[], object]
    ) -> None:
        """A thread for a part of the stack; `undo` asks it to end and waits for it."""
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        undo.callback(thread.join)
        undo.callback(end)
        self._threads[name] = thread

    def _await_api(self, server: uvicorn.Server) -> None:
        deadline = time.monotonic() + START_S
        while not server.started:
            if not self._threads["api"].is_alive() or time.monotonic() > deadline:
                raise StackError("the API did not start")
            time.sleep(0.02)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a free port (0) is known at once and stays ours. Raises: StackError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The protocol by its number: asyncio turns Nagle's delay off only for sockets that name TCP.
        listener = socket.socket(family, kind, protocol)
    except OSError as err:
        raise StackError(f"cannot listen on {host}: {err.strerror}") from err
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as err:
        listener.close()
        raise StackError(f"cannot listen on {host} port {port}: {err.strerror}") from err
    return listener


def _end(server: uvicorn.Server) -> None:
    server.should_exit = True
