"""Fixtures shared by all tests: a real Valkey with its log on, settings with short leases, a queue of their own."""

import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from redis import Redis

from contract.state import JobRecord
from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import Submission
from tests.support.invariants import MARK, Invariants
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.processes import ValkeyProcess, supervised
from tests.support.ready import await_ready
from voxelsmith.local import Stack
from workers.device.devices import cores
from workers.supervisor import Supervisor

# Several test processes with a thread for each core wait for one another: up to six times as long on two cores.
torch.set_num_threads(max(1, cores() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))

# A shell lets what it starts with `&` ignore Ctrl-C, and so would every program that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    """Settings of one test: a key prefix and a store of its own, leases of 1 s.

    A worker that computes in earnest on a busy machine needs longer ones: model_copy(update={"lease_s": 5.0}).
    """
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
        job_id: str | None = None,
        volumes: int = 1,
        to: JobQueue = queue,
    ) -> JobRecord:
        request = {"model": model, "seed": 1}
        body = request | (payload or {})
        about = {} if job_id is None else {"job_id": job_id}
        job = Submission(kind, model, "a" * 64, request, body, digest, volumes, key, **about)  # type: ignore[arg-type]
        return to.submit(job)

    return make


@pytest.fixture
def invariants(valkey: ValkeyProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invariants:
    """What every test of a fault asserts at its end; from here on temporary files go to a folder of the test's own."""
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    monkeypatch.setenv("TMPDIR", str(temp))
    noted = Invariants(temp)
    monkeypatch.setenv(MARK, noted.mark)
    return noted


@pytest.fixture
def play(settings: Settings) -> Callable[..., AbstractContextManager[Supervisor]]:
    """Starts supervised play workers: `with play(): ...`; keywords change the settings."""

    def start(count: int = 1, **changed: Any) -> AbstractContextManager[Supervisor]:
        return supervised(settings.model_copy(update=changed), count=count)

    return start


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole service on the models `tiny` and `sorted` (which has classes), with one worker that is alive."""
    folder = tmp_path_factory.mktemp("stack")
    write_tiny_hagan(folder / "models", "tiny")
    write_tiny_hagan(folder / "models", "sorted", classes=("mild", "severe"))
    settings = Settings(models_url=str(folder / "models"), port=0, threads=1)
    with Stack(folder / "data", settings) as running:
        await_ready(running.url)
        yield running
