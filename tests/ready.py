"""Waiting for things that take their time."""

import time
from collections.abc import Callable

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
        await_true(is_ready, timeout_s)


def await_true(is_so: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not so within {timeout_s:g} s"
        time.sleep(0.05)
