"""A container's health check: whether a worker of this host shows signs of life in the queue. No torch here."""

import socket
import sys

from contract.errors import VoxelsmithError
from jobs.connection import connect
from jobs.overview import Overview
from jobs.settings import Settings


def is_alive(overview: Overview, host: str) -> bool:
    """Whether a worker that runs on `host` has renewed its sign of life. Raises: QueueUnavailable."""
    return any(worker.about.get("host") == host for worker in overview.workers())


def main() -> int:
    """0 where one does; otherwise 1 and one line that says what is missing."""
    settings = Settings()
    try:
        with connect(settings) as redis:
            if is_alive(Overview(redis, settings), socket.gethostname()):
                return 0
            reason = "no worker of this host shows signs of life"
    except VoxelsmithError as err:
        reason = err.detail
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
