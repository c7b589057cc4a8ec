"""Several API and worker processes over a real Redis (TLS, a user of its own) and an S3 server: kill any of them."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError
from typer.testing import CliRunner

from contract.errors import QueueUnavailable
from contract.state import JobState
from jobs.connection import check_server, connect
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.submission import Submission
from tests.support.buckets import S3, s3, s3_server  # noqa: F401
from tests.support.cluster import Cluster, RedisServer, free_port
from tests.support.invariants import sound_records
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.processes import eventually, supervised
from tests.support.ready import await_ready, is_alive
from tests.support.service_fixtures import serving, write_models
from tests.support.sides import overview
from voxelsmith import Client
from voxelsmith.cli import app
from voxelsmith.problems import ServerUnreachable, ServiceUnavailable

MODELS = ("tiny", "other")


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="vs-redis-", dir="/tmp") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def remote(redis_server: RedisServer, s3: S3, tmp_path: Path) -> Settings:
    """Settings of a service whose queue and store are elsewhere."""
    write_models(tmp_path / "models")
    return Settings(
        redis_url=SecretStr(redis_server.url()),
        store_url=s3.url,
        models_url=str(tmp_path / "models"),
        port=0,
        lease_s=10.0,
        threads=1,
    )


def test_jobs_run_over_redis_with_tls_and_a_user_of_few_rights(remote: Settings, redis_server: RedisServer) -> None:
    with serving(remote) as api, supervised(remote):
        eventually(lambda: api.http.get("/readyz").json().get("durable") is True, 90)
        accepted = [api.queue.submit(Submission("generate", "tiny", "a" * 64, {}, {"acts": [f"keep:{k}"]}, "d" * 64)).id
                    for k in range(5)]  # fmt: skip
        eventually(lambda: all(api.queue.get(job_id).state is JobState.SUCCEEDED for job_id in accepted), 90)
        assert "voxelsmith_queue_up 1.0" in api.http.get("/metrics").text
        records = sound_records(api.queue, accepted)
        assert api.http.get(records[0].results[0].url).status_code == 307
    with Redis.from_url(redis_server.url()) as client, pytest.raises(RedisError):
        client.flushall()  # what the user may not do


@pytest.mark.fault
def test_redis_killed_and_started_again_has_every_accepted_job(remote: Settings, redis_server: RedisServer) -> None:
    """Also where a user other than the default one wrote them."""
    with serving(remote) as api:
        accepted = [api.submit(seed=seed) for seed in range(5)]
        redis_server.kill()
        assert api.post("/generate", {"model": "tiny", "seed": 9}).status_code == 503
        assert api.http.get("/readyz").json()["checks"]["queue"] is False
        redis_server.start()
        answers = [api.http.get(f"/jobs/{job_id}").json() for job_id in accepted]
        assert {answer.get("state", answer.get("detail")) for answer in answers} == {"queued"}


def test_a_redis_that_cannot_tell_when_a_job_is_on_disk_is_refused(remote: Settings, redis_server: RedisServer) -> None:
    with connect(remote) as redis:
        check_server(redis, remote)
        with Redis.from_url(redis_server.url("operator")) as operator:
            info: Any = operator.info("server")
            operator.config_set("appendfsync", "everysec")
        if info["redis_version"] < "7.2":
            with pytest.raises(QueueUnavailable, match="appendfsync"):
                check_server(redis, remote)
            with pytest.raises(QueueUnavailable):
                JobQueue(redis, remote).submit(Submission("generate", "tiny", "a" * 64, {}, {}, "d" * 64))


def test_a_wrong_password_or_an_unknown_authority_reaches_nothing(remote: Settings, redis_server: RedisServer) -> None:
    url = redis_server.url()
    wrong = url.replace(redis_server.password, secrets.token_hex(16))
    unchecked = url.partition("?")[0]
    for bad in (wrong, unchecked, unchecked.replace("rediss", "redis")):
        settings = remote.model_copy(update={"redis_url": SecretStr(bad)})
        with connect(settings, retries=0) as redis:
            assert not overview(JobQueue(redis, settings)).ping()


# -- two front ends, three workers, real models --------------------------------------------------------------------


@pytest.fixture
def cluster(redis_server: RedisServer, s3: S3, tmp_path: Path) -> Iterator[Cluster]:
    for seed, name in enumerate(MODELS):
        write_tiny_hagan(tmp_path / "made", name, seed=seed)
        for path in (tmp_path / "made" / name).iterdir():
            s3.put(f"models/{name}/{path.name}", path.read_bytes())
    environment = {
        **s3.environment,
        "VOXELSMITH_REDIS_URL": redis_server.url(),
        "VOXELSMITH_STORE_URL": f"{s3.url}/store",
        "VOXELSMITH_MODELS_URL": f"{s3.url}/models",
        "VOXELSMITH_MODEL_CACHE": str(tmp_path / "cache"),
        "VOXELSMITH_LEASE_S": "5",
        "VOXELSMITH_THREADS": "1",
    }
    (tmp_path / "hosts").mkdir()
    cluster = Cluster(redis_server, environment, tmp_path / "hosts", [free_port(), free_port()])
    try:
        for index in range(2):
            cluster.start_api(index)
        for index in range(3):
            cluster.start(f"worker{index}", "worker", "--device", "cpu")
        yield cluster
    finally:
        cluster.stop()


def post(clients: list[Client], number: int) -> str:
    """The id of a job, from whichever front end answers; a repeat under the same key is the same job."""
    body: dict[str, Any] = {"model": MODELS[number % 2], "seed": number, "num_samples": 2}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for client in (clients[number % 2], clients[1 - number % 2]):
            with contextlib.suppress(ServerUnreachable, ServiceUnavailable):
                return client.generate(**body, idempotency_key=f"key-{number}").id
        time.sleep(0.1)
    raise AssertionError("no front end took the job")


def pids(queue: JobQueue) -> list[int]:
    with contextlib.suppress(QueueUnavailable):
        return sorted(worker.about["pid"] for worker in overview(queue).workers() if is_alive(worker.about["pid"]))
    return []


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_any_process_may_be_killed_while_jobs_run(cluster: Cluster, s3: S3) -> None:
    with (
        Client(cluster.urls[0], timeout_s=20) as one,
        Client(cluster.urls[1], timeout_s=20) as two,
        cluster.queue() as queue,
    ):
        clients = [one, two]
        for url in cluster.urls:
            await_ready(url)
        eventually(lambda: len(pids(queue)) == 3, 120)
        numbers = iter(range(1000))
        accepted: list[str] = []

        def load(count: int = 6) -> None:
            accepted.extend(post(clients, next(numbers)) for _ in range(count))

        def all_succeeded() -> bool:
            with contextlib.suppress(QueueUnavailable):
                return all(queue.get(job_id).state is JobState.SUCCEEDED for job_id in accepted)
            return False

        load()
        os.kill(pids(queue)[0], 9)  # a worker; its supervisor starts another
        load()
        eventually(all_succeeded, 90)

        load()
        cluster.kill("worker1")  # a supervisor, and its worker with it
        cluster.kill("api0")
        load()
        cluster.start_api(0)
        cluster.start("worker1", "worker", "--device", "cpu")
        eventually(all_succeeded, 90)

        load()
        cluster.redis.kill()
        time.sleep(0.5)
        cluster.redis.start()
        load()
        eventually(all_succeeded, 90)

        load()
        s3.gate.turn("shut")
        load()
        eventually(lambda: httpx.get(f"{cluster.urls[0]}/readyz", timeout=60).json()["checks"]["store"] is False, 60)
        s3.gate.turn("open")
        eventually(all_succeeded, 90)

        for url in cluster.urls:
            await_ready(url)
        sound_records(queue, accepted)
        assert one.job(accepted[-1]).volume(1).shape == (32, 32, 32)
    done = CliRunner().invoke(app, ["verify"], env=cluster.environment)
    assert done.exit_code == 0, done.output
    assert set(cluster.stop().values()) == {0}
    left = [path for path in cluster.folder.rglob("*") if path.is_file() and path.suffix != ".log"]
    assert left == []
    for secret in (cluster.redis.password, s3.environment["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in cluster.logs()
