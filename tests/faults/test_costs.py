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
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from contract.errors import InvalidRequest, QuotaExceeded, TooManyTransfers
from contract.requests import GenerateRequest
from contract.state import JobState, Manifest, ResultFile
from jobs.logs import Measured
from jobs.queue import JobQueue
from jobs.quota import Charge
from jobs.results.store import ResultStore
from jobs.settings import Settings
from jobs.submission import Submission, new_id
from model_store.catalogue import Catalogue
from model_store.importers.checkpoint import read_claims
from model_store.importers.jail import ImportRefused
from model_store.importers.stylegan3d_pickle import read_networks
from model_store.regular_files import read_regular
from service.admission.payloads import kept
from service.endpoints.health import PROBE_EVERY_S
from service.http import strict_json
from service.http.descriptors import Budget, budget
from service.http.strict_json import parse
from tests.support.service_fixtures import Api, api, models, write_direction  # noqa: F401
from tests.support.sides import deliveries, scripts
from tests.support.tiny_models import write_tiny_hagan
from workers.supervisor import Supervisor

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
RECORD_BYTES = 5_000_000
Z_DIM = 8
Play = Callable[..., contextlib.AbstractContextManager[Supervisor]]


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
    assert most_mb - before_mb < 320  # 40 of them have 200 MB as they are, and many times that while they are made
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


LENGTH = 3_900_000
UNKNOWN = b",".join(b'"%06d":1' % k for k in range(LENGTH // 11))
BODIES = {
    "unknown keys": b'{"model":"a",' + UNKNOWN + b"}",
    "unknown keys within": b'{"model":"a","output":{' + UNKNOWN + b"}}",
    "objects": b'{"model":"a","seeds":[' + b"{}," * (LENGTH // 3) + b"1]}",
    "lists": b'{"model":"a","latents":[' + b"[]," * (LENGTH // 3) + b"[1]]}",
    "strings": b'{"model":"a","seeds":[' + b'"ab",' * (LENGTH // 5) + b"1]}",
    "lists of lists": b'{"model":"a","latents":[' + b'[["a"]],' * (LENGTH // 8) + b"[1]]}",
    "wrong numbers": b'{"model":"a","seeds":[' + b"-1," * (LENGTH // 3) + b"1]}",
    "numbers": b'{"model":"a","latents":[[' + b"0.1," * (LENGTH // 4) + b"1]]}",
    "wrong numbers in rows": b'{"model":"a","latents":[' + b"[-1e99]," * 16_000 + b"[1]]}",
    "as much as is read": b'{"model":"a","seeds":[' + b'{"a":1},' * 32_000 + b"1]}",
    "one string": b'{"model":"' + b"a" * LENGTH + b'"}',
    "escapes": b'{"model":"' + b"\\u00e9" * (LENGTH // 6) + b'"}',
    "quotes": b'{"model":"' + b'\\"' * (LENGTH // 2) + b'"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_refusing_a_body_takes_little_time_and_memory(name: str) -> None:
    """Of the interpreter's memory; a body of a million numbers is the dearest that is read at all."""
    took_s = spent_s(lambda: refuse(BODIES[name]))
    tracemalloc.start()
    refuse(BODIES[name])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took_s < 2.5
    assert peak_bytes < (120e6 if name == "numbers" else 40e6)


def refuse(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(GenerateRequest, body)
    assert 1 <= len(refused.value.errors) <= 20


def test_few_large_bodies_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "PATIENCE_S", 0.05)
    taken = [strict_json._TURNS.acquire() for _ in range(2)]
    try:
        with pytest.raises(TooManyTransfers):
            parse(GenerateRequest, BODIES["numbers"])
        assert parse(GenerateRequest, b'{"model": "a"}').model == "a"
    finally:
        for _ in taken:
            strict_json._TURNS.release()


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


def test_a_fit_that_names_thousands_of_jobs_takes_little_of_the_queues_memory(api: Api, play: Play) -> None:
    source = api.submit()
    api.finish(source, {"000.nii.gz": b"x"}, latents=[{"latent": [0.123456789] * Z_DIM, "space": "z"}])
    samples = [{"source": {"job": source}, "value": float(k)} for k in range(4096)]
    body = {"method": "regression", "name": "large", "attribute": "a", "samples": samples}
    answer = api.post("/models/tiny/directions", body)
    assert answer.status_code == 202, answer.text
    job = scripts(api.queue).key("job", answer.json()["id"])
    assert api.queue.redis.hstrlen(job, "payload") < 1000
    (stored,) = api.stored(f"uploads/{answer.json()['id']}")
    assert api.queue.results.size(stored) > 500_000
    assert len(json.loads(b"".join(api.queue.results.open(stored)))["fit"]["samples"]) == 4096
    api.http.delete(f"/jobs/{answer.json()['id']}")
    assert api.stored("uploads") == []


@pytest.mark.parametrize("is_sound", [True, False])
def test_a_stored_request_is_run_or_told_to_be_damaged(
    queue: JobQueue, play: Play, tmp_path: Path, is_sound: bool
) -> None:
    job_id = new_id()
    with kept({"model": "tiny", "acts": ["step"] * 5000}, job_id, queue) as run:
        assert len(json.dumps(run.payload)) < 1000
        queue.submit(Submission("generate", "tiny", "a" * 64, {}, run.payload, "d" * 64, job_id=job_id))
    if not is_sound:
        next((tmp_path / "store").rglob("payload.json")).write_bytes(b"{}")
    with play(lease_s=10.0):
        record = queue.wait(job_id, 60)
    assert record.state is (JobState.SUCCEEDED if is_sound else JobState.FAILED)
    assert (record.error.code if record.error else None) == (None if is_sound else "job_failed")
    assert queue.results.list("uploads") == []


def test_a_stored_request_goes_with_a_submit_that_fails(queue: JobQueue) -> None:
    with pytest.raises(QuotaExceeded), kept({"acts": ["step"] * 5000}, new_id(), queue):
        raise QuotaExceeded("x")
    assert queue.results.list("uploads") == []


def test_records_are_charged_as_memory_until_they_are_gone(queue: JobQueue, settings: Settings) -> None:
    small = JobQueue(queue.redis, settings.model_copy(update={"key_max_memory_bytes": 100_000, "lease_s": 60.0}))
    ids = []

    def post(numbers: int) -> None:
        request = {"latents": [[0.5] * numbers]}
        ids.append(
            small.submit(Submission("generate", "tiny", "a" * 64, request, {}, "d" * 64, charge=Charge("alice"))).id
        )

    def memory() -> int:
        return int(queue.redis.hget(scripts(queue).key("memory"), "alice") or 0)

    post(10)
    assert memory() == 0  # what every record has is nobody's
    post(10_000)
    assert 40_000 < memory() < 60_000
    with pytest.raises(QuotaExceeded, match="memory"):
        post(15_000)
    result = ResultFile(name="a", index=0, media_type="x/y", size_bytes=1, sha256="0" * 64, shape=[1, 1, 1])
    large = result.model_copy(update={"latent": {"latent": [0.25] * 15_000, "space": "z"}})
    deliveries(small).claim(ids[0], 1, "w")
    deliveries(small).keep(ids[0], 1, Manifest(results=[large]), large)
    assert memory() > 100_000
    assert all(event.body.data.find(b"0.25") < 0 for event in queue.events.read({ids[0]: "0"}, 0.1)[ids[0]])
    with pytest.raises(QuotaExceeded, match="memory"):
        deliveries(small).reserve(ids[0], 1, 10)
    deliveries(small).finish(ids[0], 1, JobState.SUCCEEDED, Manifest(results=[large]))
    assert memory() > 100_000
    small.cancel(ids[1])
    for job_id in ids:
        small.remove(job_id)
    assert memory() == 0


def test_an_edit_does_not_repeat_large_latents_without_end(api: Api) -> None:
    source = {"latent": [[0.123456789] * 60_000], "space": "w"}
    edit = {"op": "move", "direction": "shipped-one", "strengths": [0.1] * 64}
    answer = api.post("/edit", {"model": "tiny", "source": source, "edit": edit})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/edit/strengths")
