"""Whether processes and services are there."""

from pathlib import Path

from tests.support.processes import eventually
from voxelsmith import Client
from voxelsmith.problems import ServerUnreachable, ServiceUnavailable


def await_ready(url: str, timeout_s: float = 90.0) -> None:
    """Returns once a service can serve, its worker having loaded torch and a model."""

    def is_ready() -> bool:
        try:
            return bool(client.ready())
        except (ServiceUnavailable, ServerUnreachable):
            return False

    with Client(url) as client:
        eventually(is_ready, timeout_s)


def is_alive(pid: int) -> bool:
    """A process that runs; a zombie awaiting its parent does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before the file was opened, or before it was read
        return False
