"""What a client, or a file in a folder, can make the service spend: bounded, whoever asks and however often."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import contextlib
import hashlib
import io
import json
import logging
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest

from contract.state import JobState, Manifest, ResultFile
from jobs.logs import Measured
from jobs.queue import JobQueue
from jobs.results.store import ResultStore
from jobs.settings import Settings
from model_store.catalogue import Catalogue
from model_store.importers.checkpoint import read_claims
from model_store.importers.jail import ImportRefused
from model_store.importers.stylegan3d_pickle import read_networks
from model_store.regular_files import read_regular
from service.endpoints.health import PROBE_EVERY_S
from service.http.descriptors import Budget, budget
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.service_fixtures import Api, api, models, write_direction  # noqa: F401
from tests.support.sides import deliveries, scripts

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
RECORD_BYTES = 5_000_000


class FrontEnd:
    """A front end as a process of its own, whose memory is its own too."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.pid, self.port = process.pid, port
        self.log: list[str] = []
        assert process.stderr is not None
        self.reading = threading.Thread(target=self.log.extend, args=(process.stderr,), daemon=True)
        self.reading.start()

    @property
    def resident_mb(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024

    def line(self, request: str) -> socket.socket:
        """A client that has sent a request and reads nothing."""
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(60)
        line.connect(("127.0.0.1", self.port))
        line.sendall(f"{request} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return line

    def watch(self, seconds: float) -> tuple[float, float]:
        """The longest wait for /healthz and the most memory within a time."""
        worst_s, most_mb, end = 0.0, 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            assert httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=60).status_code == 200
            worst_s = max(worst_s, time.monotonic() - began)
            most_mb = max(most_mb, self.resident_mb)
            time.sleep(0.05)
        return worst_s, most_mb


@contextlib.contextmanager
def front_end(settings: Settings, descriptors: int | None = None) -> Iterator[FrontEnd]:
    named = {"redis_url": settings.redis_url.get_secret_value(), "store_url": settings.store_url, "port": "0"}
    named |= {"models_url": settings.models_url, "queue_prefix": settings.queue_prefix, "lease_s": "60"}
    environment = os.environ | {f"VOXELSMITH_{name.upper()}": value for name, value in named.items()}
    limit = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors},) * 2); " if descriptors else ""
    )
    command = [sys.executable, "-c", f"{limit}from service.main import main; main()"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    with process, contextlib.ExitStack() as stack:
        stack.callback(process.kill)
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, "the front end did not start"
            found = re.search(r"running on http://127.0.0.1:(\d+)", line)
        server = FrontEnd(process, int(found[1]))
        stack.callback(server.reading.join)
        stack.callback(process.kill)
        yield server


@pytest.fixture
def own(settings: Settings, models: Path) -> Settings:
    return settings.model_copy(update={"models_url": str(models), "lease_s": 60.0})


def enlarge(queue: JobQueue, job_id: str) -> None:
    """Gives a job the record of one with millions of numbers."""
    manifest = {"results": [], "latents": [[0.123456789] * (RECORD_BYTES // 13)]}
    queue.redis.hset(scripts(queue).key("job", job_id), "manifest", json.dumps(manifest))


def posted(port: int) -> str:
    answer = httpx.post(f"http://127.0.0.1:{port}/generate", json={"model": "tiny", "seed": 1}, timeout=60)
    return str(answer.json()["id"])


def test_slow_readers_of_a_large_record_share_it(own: Settings, queue: JobQueue) -> None:
    with front_end(own) as server, contextlib.ExitStack() as lines:
        job_id = posted(server.port)
        enlarge(queue, job_id)
        httpx.get(f"http://127.0.0.1:{server.port}/jobs/{job_id}", timeout=60)
        before_mb = server.resident_mb
        for _ in range(100):
            lines.enter_context(server.line(f"GET /jobs/{job_id}"))
        worst_s, most_mb = server.watch(5)
    assert worst_s < 3
    assert most_mb - before_mb < 25 * RECORD_BYTES / 1e6  # 100 copies and more, where each has its own


def test_slow_readers_of_many_large_records_are_bounded(own: Settings, queue: JobQueue) -> None:
    with front_end(own) as server, contextlib.ExitStack() as lines:
        jobs = [posted(server.port) for _ in range(40)]
        for job_id in jobs:
            enlarge(queue, job_id)
        before_mb = server.resident_mb
        answers = [lines.enter_context(server.line(f"GET /jobs/{job_id}")) for job_id in jobs]
        worst_s, most_mb = server.watch(8)
        heads = [line.recv(12) for line in answers]
    assert worst_s < 3
    assert most_mb - before_mb < 450  # 315 to 387 were seen; 523 where none waits for another
    assert b"HTTP/1.1 200" in heads
    assert b"HTTP/1.1 503" in heads


def test_many_listeners_are_told_a_large_end_once(own: Settings, queue: JobQueue) -> None:
    with front_end(own) as server, contextlib.ExitStack() as lines:
        job_id = posted(server.port)
        for _ in range(100):
            lines.enter_context(server.line(f"GET /jobs/{job_id}/events"))
        time.sleep(1)
        before_mb = server.resident_mb
        enlarge(queue, job_id)
        queue.cancel(job_id)
        worst_s, most_mb = server.watch(5)
    assert worst_s < 3
    assert most_mb - before_mb < 25 * RECORD_BYTES / 1e6


DOWNLOADS = 100


def keep(queue: JobQueue, job_id: str, data: bytes) -> None:
    """Does what a worker would with a file of a job."""
    deliveries(queue).claim(job_id, 1, "test")
    entry = ResultFile(
        name="000.nii.gz", index=0, media_type="application/gzip", size_bytes=len(data), shape=[1, 1, 1],
        sha256=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        path.write_bytes(data)
        queue.results.write_result(job_id, entry, path)
    deliveries(queue).finish(job_id, 1, JobState.SUCCEEDED, Manifest(results=[entry]))


def test_slow_downloads_leave_descriptors_for_others(own: Settings, queue: JobQueue) -> None:
    """At a limit that cannot be raised: some downloads are refused, everyone else is served, the log stays short."""
    with front_end(own, descriptors=500) as server, contextlib.ExitStack() as lines:
        job_id = posted(server.port)
        keep(queue, job_id, b"\0" * 8_000_000)
        request = f"GET /jobs/{job_id}/results/000.nii.gz"
        answers = [lines.enter_context(server.line(request)) for _ in range(DOWNLOADS)]
        worst_s, _ = server.watch(3)
        heads = [line.recv(12) for line in answers]
        assert len([*Path(f"/proc/{server.pid}/fd").iterdir()]) < 480
        assert posted(server.port)
    assert worst_s < 3
    assert heads.count(b"HTTP/1.1 503") + heads.count(b"HTTP/1.1 200") == DOWNLOADS
    assert {b"HTTP/1.1 503", b"HTTP/1.1 200"} <= set(heads)
    assert len(server.log) < 20


def test_the_limit_of_descriptors_is_raised_and_divided() -> None:
    assert budget(4096, 128) == Budget(connections=800, transfers=512)
    assert budget(1024, 128) == Budget(connections=528, transfers=176)
    for limit in (256, 400, 1024, 1500, 2000, 10**6):
        room = budget(limit, 128)
        assert room.connections > 0 < room.transfers
        assert room.connections + room.transfers <= max(16, limit - 2 * 128)


def test_a_flood_of_warnings_is_cut_and_counted() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(Measured(most=5, period_s=60))
    logger = logging.Logger("flooded")
    logger.addHandler(handler)
    for k in range(10_000):
        logger.warning("flood %d", k)
    logger.error("another place")
    for k in range(20):
        logger.info("line %d", k)
    assert len(written.getvalue().splitlines()) == 5 + 1 + 20
    late = logger.makeRecord("flooded", logging.WARNING, "f.py", 1, "x", (), None)
    measured = Measured(most=5, period_s=60)
    assert [measured.filter(late) for _ in range(7)] == [True] * 5 + [False] * 2
    late.created += 61
    assert measured.filter(late)
    assert late.getMessage() == "x (and 2 more like it before)"


class Counted(ResultStore):
    """Counts what it reads to the end, and what it tries to write."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.hashed, self.tried = 0, 0

    def _has_digest(self, key: str, sha256: str) -> bool:
        self.hashed += 1
        time.sleep(0.05)
        return super()._has_digest(key, sha256)

    def _can_write(self) -> bool:
        self.tried += 1
        time.sleep(0.05)
        return super()._can_write()


def test_parts_of_a_file_have_it_hashed_once_while_it_is_as_it_was(tmp_path: Path) -> None:
    store, path = Counted(f"file://{tmp_path}/store"), tmp_path / "file"
    path.write_bytes(b"0123456789")
    _, sha256 = store.write("results/j/a", path)
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: store.verify("results/j/a", sha256, within_s=60), range(64)))
    assert store.hashed == 1
    stored = tmp_path / "store" / "results" / "j" / "a"
    stored.write_bytes(b"0123456788")
    assert not store.verify("results/j/a", sha256, within_s=60)
    assert store.hashed == 2
    assert not store.verify("results/j/a", sha256)
    assert store.hashed == 3


def test_a_range_of_one_byte_costs_no_hash_of_the_whole_file(api: Api) -> None:
    job_id = api.submit()
    data = bytes(range(256)) * 2**18
    api.finish(job_id, {"000.nii.gz": data})
    path = f"/jobs/{job_id}/results/000.nii.gz"
    spent = [spent_s(lambda: api.http.get(path, headers={"Range": "bytes=5-5"})) for _ in range(21)]
    assert api.http.get(path, headers={"Range": "bytes=7-7"}).content == data[7:8]
    assert sum(spent[1:]) < 4 * spent[0]  # it was 20 times the first
    stored = next(Path(api.settings.store_url.removeprefix("file://")).rglob("000.nii.gz"))
    with stored.open("r+b") as file:
        file.write(b"x")
    assert api.http.get(path, headers={"Range": "bytes=7-7"}).status_code == 410


def spent_s(step: Callable[[], object]) -> float:
    """Of this process' time, which the server in a thread of it spends too."""
    began = time.process_time()
    step()
    return time.process_time() - began


def test_many_questions_whether_the_service_is_ready_write_once(tmp_path: Path) -> None:
    store = Counted(f"file://{tmp_path}/store")
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: store.writable(PROBE_EVERY_S), range(64)))
    assert store.tried == 1
    assert store.writable()
    assert store.tried == 2


def odd_files(folder: Path) -> None:
    """What a folder may hold in place of a file: a pipe, devices that never end and that tell nothing, gigabytes."""
    os.mkfifo(folder / "a-pipe.json")
    (folder / "b-zero.json").symlink_to("/dev/zero")
    (folder / "c-terminal.json").symlink_to("/dev/tty")
    (folder / "d-folder.json").mkdir()
    (folder / "e-itself.json").symlink_to("e-itself.json")
    with (folder / "f-huge.json").open("wb") as file:
        file.truncate(3 * 2**30)
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(folder):
        server.bind("g-socket.json")


@pytest.mark.timeout(60)
def test_a_folder_with_pipes_and_devices_holds_nobody_up(tmp_path: Path) -> None:
    card = write_tiny_hagan(tmp_path, "tiny")
    write_direction(tmp_path / "tiny", card, "sound")
    odd_files(tmp_path / "tiny" / "directions")
    (tmp_path / "piped").mkdir()
    os.mkfifo(tmp_path / "piped" / "card.json")
    swapped = write_tiny_hagan(tmp_path, "swapped")
    (tmp_path / "swapped" / "weights.safetensors").unlink()
    os.mkfifo(tmp_path / "swapped" / "weights.safetensors")
    catalogue = Catalogue([tmp_path])
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert [direction["name"] for direction in catalogue.directions("tiny")] == ["sound"]
    assert set(catalogue.broken()) == {"piped", swapped.name}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb < 100
    for name in ("a-pipe", "b-zero", "d-folder", "f-huge"):
        with pytest.raises(OSError):  # noqa: PT011 -- of whichever kind
            read_regular(tmp_path / "tiny" / "directions" / f"{name}.json", 2**20)
    for read in (read_claims, lambda path, _: read_networks(path)):
        with pytest.raises(ImportRefused):
            read(tmp_path / "tiny" / "directions" / "a-pipe.json", "generator")
