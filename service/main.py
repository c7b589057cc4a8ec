"""The front end as a process: Settings() -> create_app(settings) -> uvicorn."""

import ipaddress
import logging
import socket
import sys

import uvicorn

from jobs.connection import check_server, connect
from jobs.errors import VoxelsmithError
from jobs.settings import Settings
from service.app import create_app

GRACE_S = 5
"""For answers under way when the server is told to stop; event streams do not end by themselves."""


def main() -> None:
    """Serves until SIGTERM or SIGINT; exit code 1 with one line where it cannot start."""
    settings = Settings()
    try:
        check_host(settings.host)
        redis = connect(settings)
        check_server(redis, settings)
        redis.close()
        server = make_server(settings)
    except (VoxelsmithError, ValueError) as err:
        sys.exit(f"voxelsmith api: {err}")
    server.run()


def make_server(settings: Settings) -> uvicorn.Server:
    """A server for the settings' address; `run()` serves on it, `run(sockets=[...])` on another."""
    # It would log a line for every malformed form, with the offending byte.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=64 * 2**10,
    )
    return uvicorn.Server(config)


def check_host(host: str) -> None:
    """Without API keys the service answers to this machine alone. Raises: ValueError."""
    if not all(ipaddress.ip_address(address).is_loopback for address in _addresses(host)):
        raise ValueError("without API keys the service only listens on a loopback address, such as 127.0.0.1")


def _addresses(host: str) -> set[str]:
    try:
        return {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except OSError as err:
        raise ValueError("the host to listen on is not known on this machine") from err


if __name__ == "__main__":
    main()
