"""The front end on a real port in a thread, over a real Valkey and tiny real models. No worker: tests play its part."""

import hashlib
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from contract.state import JobState, Manifest, ResultFile
from jobs.queue import JobQueue
from jobs.settings import Settings
from model_store.card import DirectionCard, ModelCard
from service.dependencies import Services
from service.endpoints.page import BUILT
from service.main import make_server
from tests.support.models.tiny_models import write_card, write_tiny_hagan
from tests.support.processes import ValkeyProcess
from tests.support.sides import deliveries


@dataclass
class Api:
    """A running front end and the queue behind it."""

    http: httpx.Client
    queue: JobQueue
    settings: Settings
    port: int
    services: Services

    @property
    def waiters(self) -> Any:
        return self.services.waiters

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=headers)

    def submit(self, **fields: Any) -> str:
        """The id of a small new job."""
        answer = self.post("/generate", {"model": "tiny", "seed": 1, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def finish(
        self,
        job_id: str,
        files: dict[str, bytes] | None = None,
        latents: Sequence[Any] = (),
        state: JobState = JobState.SUCCEEDED,
        encoded: list[Any] | None = None,
    ) -> list[ResultFile]:
        """Does what a worker would: claims the job, stores files, publishes them."""
        deliveries(self.queue).claim(job_id, 1, "test")
        entries = []
        for index, (name, data) in enumerate((files or {}).items()):
            entry = ResultFile(
                name=name,
                index=index,
                media_type="image/png" if name.endswith("png") else "application/gzip",
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                shape=[2, 2, 2],
                spacing_mm=[1.0, 1.0, 1.0],
                latent=latents[index] if index < len(latents) else {"seed": index},
                url=f"/jobs/{job_id}/results/{name}",
            )
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "made"
                path.write_bytes(data)
                self.queue.results.write_result(job_id, entry, path)
            entries.append(entry)
        deliveries(self.queue).finish(job_id, 1, state, Manifest(results=entries, latents=encoded))
        return entries

    def free_places(self) -> int:
        """How many more listeners the front end would take."""
        return int(self.services.listeners._value)

    def free_waiters(self) -> int:
        """For how many more clients the front end would hold an answer."""
        return int(self.waiters._value)

    def stored(self, prefix: str) -> list[str]:
        return self.queue.results.list(prefix)


LEASE_S = 30.0
"""For jobs that a test claims and finishes itself: it renews no lease, and a busy machine outlasts a short one."""
SHORT_LEASE_S = 8.0
"""The same where the front end's reaper, which comes four times per lease, is waited for."""


def until(truth: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


@contextmanager
def serving(settings: Settings, page_folder: Path = BUILT) -> Iterator[Api]:
    server = make_server(settings, page_folder)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the front end did not start"
        assert time.monotonic() < deadline, "the front end took too long"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    services = server.config.app.state.services  # type: ignore[union-attr]
    # A connection that the server is about to close as idle, after 5 s, is not used once more.
    limits = httpx.Limits(keepalive_expiry=2.0)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
        yield Api(client, services.queue, settings, port, services)
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()


def write_models(folder: Path) -> None:
    """tiny and tiny-ct (no classes; tiny-ct has no encoder), tiny-classes, and one that is broken."""
    card = write_tiny_hagan(folder, "tiny")
    write_direction(folder / "tiny", card, "shipped-one")
    write_tiny_hagan(folder, "tiny-ct", encoder=False, seed=1)
    write_tiny_hagan(folder, "tiny-classes", classes=("healthy", "severe"), encoder=False, seed=2)
    broken = write_tiny_hagan(folder, "tiny-broken", encoder=False, seed=3)
    write_card(folder / "tiny-broken", broken)
    with (folder / "tiny-broken" / "weights.safetensors").open("r+b") as file:
        file.truncate(1000)


def direction_card(card: ModelCard, name: str, method: str = "regression") -> DirectionCard:
    vector = [1.0, *[0.0] * (card.latent.z_dim - 1)]
    line = {"slope": 2.0, "intercept": 1.0, "r2": 0.9} if method == "regression" else {}
    return DirectionCard(
        name=name, method=method, attribute="size", vector=vector, std=1.0, model_sha256=card.sha256, **line
    )  # type: ignore[arg-type]


def write_direction(folder: Path, card: ModelCard, name: str) -> None:
    (folder / "directions").mkdir(exist_ok=True)
    (folder / "directions" / f"{name}.json").write_text(direction_card(card, name).model_dump_json())


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture(scope="module")
def shared_api(valkey: ValkeyProcess, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One server for a whole file, which takes no upload above 2 MiB."""
    settings = Settings(
        port=0,
        redis_url=valkey.url,  # type: ignore[arg-type]
        store_url=f"file://{tmp_path_factory.mktemp('shared')}/store",
        models_url=str(models),
        queue_prefix=f"t{uuid.uuid4().hex[:8]}",
        max_upload_bytes=2 * 2**20,
    )
    with serving(settings) as running:
        yield running


@pytest.fixture
def api(settings: Settings, models: Path) -> Iterator[Api]:
    with serving(settings.model_copy(update={"port": 0, "models_url": str(models), "lease_s": LEASE_S})) as running:
        yield running
