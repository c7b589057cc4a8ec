"""The front end is killed in mid-submit, its queue is silent or full, its clients leave or repeat themselves."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from contract.state import JobState
from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from service.dependencies import MAX_WAITERS
from tests.service.test_uploads import open_files
from tests.support.invariants import Invariants, recover, sound_records
from tests.support.processes import ValkeyProcess, eventually, supervised
from tests.support.ready import is_alive
from tests.support.service_fixtures import LEASE_S, SHORT_LEASE_S, Api, models, serving, until  # noqa: F401
from tests.support.sides import scripts, transport
from tests.support.tracing import injected, needs_strace

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
BODY = {"model": "tiny", "seed": 1}
POINTS = 24
"""Requests to the queue that one POST makes, roundly upward."""
AT_ONCE = 4


@contextmanager
def front_end(settings: Settings) -> Iterator[tuple[int, str]]:
    """A process of its own: its pid and address."""
    named = {"redis_url": settings.redis_url.get_secret_value(), "store_url": settings.store_url, "port": "0"}
    named |= {"models_url": settings.models_url, "queue_prefix": settings.queue_prefix}
    environment = os.environ | {f"VOXELSMITH_{name.upper()}": value for name, value in named.items()}
    command = [sys.executable, "-m", "service.main"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        found = None
        while found is None:
            line = process.stderr.readline()
            assert line, "the front end did not start"
            found = re.search(r"running on (http://\S+)", line)
        yield process.pid, found.group(1)
    finally:
        process.terminate()
        process.communicate()


def killed_in_mid_submit(settings: Settings, when: int) -> bool:
    """The client's first post dies with the front end, its second goes to another one. False where there is no such
    point."""
    headers = {"Idempotency-Key": "k"}
    with connect(settings) as redis:
        queue = JobQueue(redis, settings)
        with front_end(settings) as (pid, url):
            httpx.get(f"{url}/jobs")  # answered by a thread that is made for it, and that answers the next one too
            newest = max(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
            killed = False
            with injected(newest, "sendto", "signal=SIGKILL", when):
                try:
                    httpx.post(f"{url}/generate", json=BODY, headers=headers, timeout=60)
                except httpx.TransportError:  # a process closes its connections a moment before it is gone
                    eventually(lambda: not is_alive(pid))
                    killed = True
        with front_end(settings) as (_, url):
            answer = httpx.post(f"{url}/generate", json=BODY, headers=headers, timeout=60)
            assert answer.status_code == 202, answer.text
        assert [record.id for record in queue.list().items] == [answer.json()["id"]]
        with supervised(settings):
            recover(queue, [answer.json()["id"]])
        sound_records(queue, [answer.json()["id"]])
    return killed


@needs_strace
@pytest.mark.parametrize("first", [1, 9, 17])
@pytest.mark.slow
def test_a_front_end_killed_at_any_request_of_a_submit_leaves_one_job_to_the_client_that_repeats_it(
    settings: Settings, models: Path, queue: JobQueue, tmp_path: Path, invariants: Invariants, first: int
) -> None:
    def point(when: int) -> bool:
        changes = {"queue_prefix": f"{settings.queue_prefix}-{when}", "store_url": f"file://{tmp_path}/store-{when}"}
        return killed_in_mid_submit(settings.model_copy(update={"models_url": str(models), **changes}), when)

    killed: list[bool] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(first, first + 8, AT_ONCE):
            killed += pool.map(point, range(start, start + AT_ONCE))
            if not any(killed[-AT_ONCE:]):
                break
    assert killed[0] or first > 1
    assert not killed[-1] or first + 8 <= POINTS
    invariants.left_nothing(queue)


@pytest.mark.slow
def test_a_silent_queue_is_told_in_seconds_and_does_not_silence_the_front_end(
    settings: Settings, models: Path, own_valkey: ValkeyProcess, invariants: Invariants
) -> None:
    """More posts wait than there are threads; whoever asks whether the process lives is answered all the same."""
    assert own_valkey.process is not None
    redis_url = Settings(redis_url=own_valkey.url).redis_url
    own = settings.model_copy(update={"port": 0, "models_url": str(models), "redis_url": redis_url})
    with serving(own) as api:

        def post(_: int) -> httpx.Response:
            return httpx.post(f"{api.http.base_url}/generate", json=BODY, timeout=60)

        before = api.submit()
        os.kill(own_valkey.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        with ThreadPoolExecutor(40) as pool:
            posts = [pool.submit(post, k) for k in range(40)]
            time.sleep(0.5)
            assert api.http.get("/healthz").status_code == 200
            assert not any(one.done() for one in posts)
            answers = [one.result() for one in posts]
        refusals = {(answer.status_code, answer.json()["code"]) for answer in answers}
        assert refusals == {(503, "queue_unavailable")}
        assert time.monotonic() - began < 60
        os.kill(own_valkey.process.pid, signal.SIGCONT)
        after = api.submit()
        with supervised(own):
            recover(api.queue, [before, after])
            recover(api.queue, [record.id for record in api.queue.list().items])
    with connect(own) as redis:
        invariants.hold(JobQueue(redis, own), [before, after])


def test_parallel_posts_with_one_key_and_posts_beyond_the_limit(
    settings: Settings, models: Path, invariants: Invariants
) -> None:
    own = settings.model_copy(update={"port": 0, "models_url": str(models), "queue_limit": 2})
    with serving(own) as api:

        def post(_: int) -> str:
            answer = httpx.post(
                f"{api.http.base_url}/generate", json=BODY, headers={"Idempotency-Key": "k"}, timeout=60
            )
            return str(answer.json()["id"])

        with ThreadPoolExecutor(20) as pool:
            ids = set(pool.map(post, range(20)))
        assert len(ids) == 1
        ids.add(api.submit())
        refused = api.post("/generate", BODY)
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert int(refused.headers["retry-after"]) > 0
        with supervised(own):
            recover(api.queue, ids)
        assert len(api.http.get("/jobs").json()["items"]) == 2
    with connect(own) as redis:
        invariants.hold(JobQueue(redis, own), ids)


def test_a_client_that_waits_has_its_job_when_the_front_end_stops(
    settings: Settings, models: Path, queue: JobQueue, caplog: pytest.LogCaptureFixture, invariants: Invariants
) -> None:
    own = settings.model_copy(update={"port": 0, "models_url": str(models)})
    with ThreadPoolExecutor(1) as pool:
        with serving(own) as api:
            waiting = pool.submit(post_and_wait, api)
            until(lambda: api.free_waiters() < MAX_WAITERS)
        job_id = accepted(waiting.result())
    assert "Traceback" not in caplog.text
    with supervised(own):
        recover(queue, [job_id])
    invariants.hold(queue, [job_id])


def test_a_client_that_waits_has_its_job_when_the_queue_goes_away(
    settings: Settings, models: Path, own_valkey: ValkeyProcess, invariants: Invariants
) -> None:
    redis_url = Settings(redis_url=own_valkey.url).redis_url
    own = settings.model_copy(update={"port": 0, "models_url": str(models), "redis_url": redis_url})
    with serving(own) as api, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post_and_wait, api)
        until(lambda: api.free_waiters() < MAX_WAITERS)
        own_valkey.kill()
        job_id = accepted(waiting.result())
        own_valkey.start()
        assert [record.id for record in api.queue.list().items] == [job_id]
        with supervised(own):
            recover(api.queue, [job_id])
    with connect(own) as redis:
        invariants.hold(JobQueue(redis, own), [job_id])


def post_and_wait(api: Api) -> httpx.Response:
    return httpx.post(f"{api.http.base_url}/generate", json=BODY, headers={"Prefer": "wait=50"}, timeout=60)


def accepted(answer: httpx.Response) -> str:
    """The id of the job in the answer to a client whose wait was cut short."""
    job_id = str(answer.json()["id"])
    assert (answer.status_code, answer.headers["location"]) == (202, f"/jobs/{job_id}")
    assert "preference-applied" not in answer.headers
    return job_id


DATA = bytes(range(256)) * 2**17
"""32 MiB: more than the buffers between two sockets hold."""


def test_a_client_gone_in_mid_download_leaves_nothing_open(
    settings: Settings, models: Path, invariants: Invariants
) -> None:
    own = settings.model_copy(update={"port": 0, "models_url": str(models), "lease_s": LEASE_S})
    with serving(own) as api:
        job_id = api.submit()
        api.finish(job_id, {"000.nii.gz": DATA})
        path = f"/jobs/{job_id}/results/000.nii.gz"
        api.http.get("/healthz")
        before = open_files()
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", api.port), timeout=30) as line:
                line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert line.recv(100).startswith(b"HTTP/1.1 200 ")
        until(lambda: open_files() <= before + 1)  # one more connection to the queue stays
        assert api.http.get(path).content == DATA
        transport(api.queue).forget(job_id, 1)
    with connect(settings) as redis:
        invariants.hold(JobQueue(redis, settings), [job_id])


def test_a_result_that_expires_during_its_download_comes_whole(
    settings: Settings, models: Path, invariants: Invariants
) -> None:
    own = settings.model_copy(update={"port": 0, "models_url": str(models), "lease_s": SHORT_LEASE_S})
    with serving(own) as api:
        job_id = api.submit()
        api.finish(job_id, {"000.nii.gz": DATA})
        with api.http.stream("GET", f"/jobs/{job_id}/results/000.nii.gz", timeout=60) as answer:
            pieces = answer.iter_raw(2**16)
            received = [next(pieces)]
            api.queue.redis.zadd(scripts(api.queue).key("expiring"), {job_id: 1})
            until(lambda: api.http.get(f"/jobs/{job_id}").status_code == 410)
            until(lambda: not api.stored("results"))
            received += pieces
        assert b"".join(received) == DATA
        assert api.http.get(f"/jobs/{job_id}/results/000.nii.gz").status_code == 410
        transport(api.queue).forget(job_id, 1)
    with connect(settings) as redis:
        invariants.hold(JobQueue(redis, settings), [])
        assert JobQueue(redis, settings).list(state=JobState.SUCCEEDED).items == []
