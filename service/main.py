"""The front end as a process: Settings() -> create_app(settings) -> uvicorn."""

import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from contract.errors import VoxelsmithError
from contract.pointers import setting
from jobs.connection import check_server, connect
from jobs.keys import ApiKeys
from jobs.logs import configure
from jobs.settings import Settings
from jobs.webhooks.sender import MAX_UNDER_WAY
from service.app import create_app
from service.dependencies import MAX_WAITERS, THREADS
from service.endpoints.page import BUILT
from service.http.descriptors import budget, raise_limit
from service.http.timeouts import PatientProtocol
from service.key_rule import check_exposure

GRACE_S = 6
"""For answers under way when the server is told to stop: longer than a call that a silent queue does not answer."""


class Server(uvicorn.Server):
    """Says that it stops before it gives answers under way their grace."""

    def __init__(self, config: uvicorn.Config, leave: Callable[[], object]) -> None:
        super().__init__(config)
        self._leave = leave

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leave()
        await super().shutdown(sockets)


def main() -> None:
    """Serves until SIGTERM or SIGINT; exit code 1 with one line where it cannot start."""
    try:
        settings = Settings()
        configure(settings.log_format)
        check_surroundings(settings)
        server = make_server(settings)
    except ValidationError as err:
        sys.exit(f"voxelsmith api: {setting(err)}")
    except (VoxelsmithError, ValueError) as err:
        sys.exit(f"voxelsmith api: {err}")
    server.run()


def check_surroundings(settings: Settings) -> None:
    """Refuses a queue that may lose jobs, and to be open to other machines without a key.

    Raises: QueueUnavailable, ValueError.
    """
    with connect(settings) as redis:
        check_server(redis, settings)
        check_exposure(settings.host, ApiKeys(redis, settings))


def make_server(settings: Settings, page_folder: Path = BUILT) -> uvicorn.Server:
    """A server for the settings' address; `run()` serves on it, `run(sockets=[...])` on another."""
    # It would log a line for every malformed form, with the offending byte.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    threads = THREADS + MAX_WAITERS + MAX_UNDER_WAY
    room = budget(raise_limit(threads), threads)
    app = create_app(settings, page_folder, room.transfers)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,  # its lines go where all others go
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=64 * 2**10,
        http=type("BoundedProtocol", (PatientProtocol,), {"max_connections": room.connections}),
    )
    return Server(config, app.state.services.leave)


if __name__ == "__main__":
    main()
