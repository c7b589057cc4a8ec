"""API keys: who is let in, whose job is whose, and how much one key may take."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from pydantic import SecretStr
from redis import Redis

from contract.errors import QueueUnavailable, QuotaExceeded, UnknownKey
from contract.state import Manifest, ResultFile
from jobs.connection import connect
from jobs.keys import ApiKeys, Scope
from jobs.queue import JobQueue
from jobs.settings import Settings
from service.key_rule import KeyRule, check_exposure
from tests.service.test_uploads import encode, scan  # noqa: F401
from tests.support.processes import ValkeyProcess
from tests.support.service_fixtures import LEASE_S, Api, models, serving  # noqa: F401
from tests.support.sides import deliveries, scripts, upkeep
from voxelsmith import Client
from voxelsmith.problems import Unauthorized

LIMITS = {"key_max_jobs": 3, "key_max_samples": 8, "key_max_bytes": 20_000}


@dataclass
class Guarded:
    """A front end with keys: anonymous, and as the holder of each of them."""

    api: Api
    keys: ApiKeys
    alice: Api
    bob: Api
    admin: Api


@pytest.fixture
def guarded(settings: Settings, models: Path) -> Iterator[Guarded]:
    changes = {"port": 0, "models_url": str(models), "lease_s": LEASE_S, **LIMITS}
    with serving(settings.model_copy(update=changes)) as api:
        keys = ApiKeys(api.queue.redis, api.settings)

        def holder(name: str, scope: Scope) -> Api:
            _, token = keys.create(name, {scope})
            client = httpx.Client(base_url=api.http.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
            return Api(client, api.queue, api.settings, api.port, api.services)

        people = [holder("alice", Scope.JOBS), holder("bob", Scope.JOBS), holder("root", Scope.ADMIN)]
        yield Guarded(api, keys, *people)
        for person in people:
            person.http.close()


def token_of(person: Api) -> str:
    return person.http.headers["authorization"].removeprefix("Bearer ")


CLOSED = [
    *(("GET", "/jobs"), ("GET", "/jobs/x"), ("DELETE", "/jobs/x"), ("GET", "/jobs/x/events"), ("GET", "/models")),
    *(("GET", "/jobs/x/results/y"), ("POST", "/generate"), ("POST", "/encode"), ("POST", "/edit"), ("HEAD", "/jobs")),
    *(("GET", "/models/tiny"), ("GET", "/models/tiny/directions"), ("POST", "/models/tiny/directions")),
    *(("GET", "/models/tiny/directions/shipped-one"), ("DELETE", "/models/tiny/directions/x"), ("GET", "/metrics")),
]


def test_nothing_is_done_without_a_key(guarded: Guarded) -> None:
    for method, path in CLOSED:
        answer = guarded.api.http.request(method, path, content=b"{")
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == 'Bearer realm="voxelsmith"'
        assert method == "HEAD" or answer.json()["code"] == "key_required"


def test_every_call_of_the_schema_is_closed_or_says_nothing(guarded: Guarded) -> None:
    paths = guarded.api.http.get("/openapi.json").json()["paths"]
    calls = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    for method, path in calls - {("GET", "/healthz"), ("GET", "/readyz")}:
        path = path.format(job_id="x", name="tiny" if path.startswith("/models") else "y", direction="x")
        assert guarded.api.http.request(method, path).status_code == 401, (method, path)


def test_the_page_and_the_reference_need_no_key(guarded: Guarded) -> None:
    for path in ("/", "/docs", "/openapi.json", "/healthz"):
        assert guarded.api.http.get(path).status_code == 200, path
    assert guarded.api.http.get("/assets/none.js").status_code == 404


def test_what_is_no_key_of_ours_is_refused_alike(guarded: Guarded) -> None:
    unknown = "Bearer vxs_000000000000_" + "A" * 43
    for field in ("Bearer", "Basic YTpi", "Bearer a b", unknown, "Bearer x" * 200, "\xff", "Bearer \xff"):
        answer = guarded.api.http.get("/jobs", headers={"Authorization": field.encode("latin-1")})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key"), field
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_key_must_be_whole_and_come_once(guarded: Guarded) -> None:
    token = token_of(guarded.alice)
    for wrong in (token[:-1], token + "A", token.upper(), token[:17] + "A" * 43):
        assert guarded.api.http.get("/jobs", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    twice = [("Authorization", f"Bearer {token}")] * 2
    assert guarded.api.http.get("/jobs", headers=twice).status_code == 401
    assert guarded.api.http.get("/jobs", headers={"Authorization": f"bEARER  {token}"}).status_code == 200


def test_a_key_is_asked_for_before_a_body_is_read(guarded: Guarded) -> None:
    answer = guarded.api.http.post("/encode", content=iter([b"x" * 1000] * 5), headers={"Content-Type": "image/png"})
    assert answer.status_code == 401


def test_a_scope_that_lacks_is_named(guarded: Guarded) -> None:
    answer = guarded.admin.post("/generate", {"model": "tiny"})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert guarded.admin.http.get("/metrics").status_code == 200
    assert guarded.alice.http.get("/metrics").status_code == 403
    assert guarded.alice.http.delete("/models/tiny/directions/shipped-one").status_code == 403
    assert guarded.admin.http.delete("/models/tiny/directions/shipped-one").status_code == 409
    assert guarded.alice.http.get("/models").status_code == guarded.admin.http.get("/models").status_code == 200


def test_a_revoked_or_expired_key_is_shut_out_at_once(guarded: Guarded) -> None:
    job_id = guarded.alice.submit()
    guarded.keys.revoke(token_of(guarded.alice).split("_")[1])
    assert guarded.alice.http.get(f"/jobs/{job_id}").json()["code"] == "invalid_key"
    short, token = guarded.keys.create("short", {Scope.JOBS}, life_s=3600)
    with Client(str(guarded.api.http.base_url), token) as client:
        assert list(client.jobs()) == []
        guarded.api.queue.redis.hset(f"{guarded.api.settings.queue_prefix}:key:{short.id}", "expires", 1)
        with pytest.raises(Unauthorized):
            list(client.jobs())


def test_a_strangers_job_does_not_exist(guarded: Guarded) -> None:
    job_id = guarded.alice.submit()
    guarded.alice.finish(job_id, {"000.nii.gz": b"x"})
    assert guarded.alice.http.get(f"/jobs/{job_id}/results/000.nii.gz").content == b"x"
    source = {"job": job_id, "index": 0}
    move = {"op": "move", "direction": "shipped-one", "strengths": [1]}
    blend = {"op": "interpolate", "target": source, "steps": 2}
    fit = {"method": "regression", "name": "n", "attribute": "a", "samples": [{"source": source, "value": 1.0}] * 4}
    for person in (guarded.bob, guarded.admin):
        assert job_id not in person.http.get("/jobs").text
    asked: list[Callable[[], httpx.Response]] = [
        lambda: guarded.bob.http.get(f"/jobs/{job_id}"),
        lambda: guarded.bob.http.get(f"/jobs/{job_id}/events"),
        lambda: guarded.bob.http.get(f"/jobs/{job_id}/results/000.nii.gz"),
        lambda: guarded.bob.http.delete(f"/jobs/{job_id}"),
        lambda: guarded.bob.post("/edit", {"model": "tiny", "source": source, "edit": move}),
        lambda: guarded.bob.post("/edit", {"model": "tiny", "source": {"seed": 1}, "edit": blend}),
        lambda: guarded.bob.post("/encode", {"model": "tiny", "source": source}),
        lambda: guarded.bob.post("/models/tiny/directions", fit),
    ]
    unknown = guarded.bob.http.get("/jobs/nothing").json()
    for ask in asked:
        answer = ask()
        assert answer.status_code == 404
        assert {**answer.json(), "instance": ""} == {**unknown, "instance": ""}, "it must not tell that the job exists"
    assert guarded.alice.http.delete(f"/jobs/{job_id}").status_code == 204


def test_lists_hold_the_callers_own_jobs_page_by_page(guarded: Guarded) -> None:
    mine = [guarded.alice.submit(), guarded.alice.submit()]
    theirs = guarded.bob.submit()
    first = guarded.alice.http.get("/jobs?limit=1").json()
    second = guarded.alice.http.get(f"/jobs?limit=1&cursor={first['next_cursor']}").json()
    assert [page["items"][0]["id"] for page in (first, second)] == mine[::-1]
    assert second["next_cursor"] is None
    assert [job["id"] for job in guarded.bob.http.get("/jobs").json()["items"]] == [theirs]
    assert guarded.admin.http.get("/jobs").status_code == 403


def test_an_idempotency_key_is_its_owners_own(guarded: Guarded) -> None:
    body = {"model": "tiny", "seed": 1}
    first = guarded.alice.post("/generate", body, **{"Idempotency-Key": "k"}).json()["id"]
    assert guarded.alice.post("/generate", body, **{"Idempotency-Key": "k"}).json()["id"] == first
    assert guarded.alice.post("/generate", {"model": "tiny"}, **{"Idempotency-Key": "k"}).status_code == 422
    assert guarded.bob.post("/generate", body, **{"Idempotency-Key": "k"}).json()["id"] != first
    guarded.alice.http.delete(f"/jobs/{first}")
    assert guarded.alice.http.delete(f"/jobs/{first}").status_code == 204
    assert guarded.alice.post("/generate", body, **{"Idempotency-Key": "k"}).json()["id"] != first


def test_an_expired_job_is_gone_for_its_owner_and_unknown_to_others(guarded: Guarded) -> None:
    job_id = guarded.alice.submit()
    guarded.alice.finish(job_id)
    guarded.api.queue.redis.zadd(scripts(guarded.api.queue).key("expiring"), {job_id: 1})
    upkeep(guarded.api.queue).reap()
    assert guarded.alice.http.get(f"/jobs/{job_id}").status_code == 410
    assert guarded.bob.http.get(f"/jobs/{job_id}").status_code == 404


# -- limits


def assert_over(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded"), answer.text
    assert int(answer.headers["retry-after"]) > 0


def test_jobs_in_flight_are_limited_to_the_last_one(guarded: Guarded) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: guarded.alice.post("/generate", {"model": "tiny"}), range(12)))
    made = [answer for answer in answers if answer.status_code == 202]
    assert len(made) == 3
    assert_over(next(answer for answer in answers if answer.status_code != 202))
    guarded.bob.submit()
    first, second = (answer.json()["id"] for answer in made[:2])
    guarded.alice.http.delete(f"/jobs/{first}")
    guarded.alice.submit()
    assert_over(guarded.alice.post("/generate", {"model": "tiny"}))
    guarded.alice.finish(second)
    guarded.alice.submit()


def test_samples_in_flight_are_limited(guarded: Guarded) -> None:
    guarded.alice.submit(num_samples=6)
    assert_over(guarded.alice.post("/generate", {"model": "tiny", "num_samples": 3}))
    edit = {"op": "move", "direction": "shipped-one", "strengths": [1, 2, 3]}
    assert_over(guarded.alice.post("/edit", {"model": "tiny", "source": {"seed": 1}, "edit": edit}))
    guarded.alice.submit(num_samples=2)


def test_stored_bytes_are_limited_and_come_back_when_jobs_go(guarded: Guarded, scan: bytes) -> None:
    job_id = guarded.alice.submit()
    guarded.alice.finish(job_id, {"000.nii.gz": b"x" * 19_500})
    assert_over(encode(guarded.alice, scan))
    assert guarded.api.stored("uploads") == []
    guarded.alice.http.delete(f"/jobs/{job_id}")
    made = encode(guarded.alice, scan)
    assert made.status_code == 202
    (_, owner, _) = token_of(guarded.alice).split("_", 2)
    assert guarded.api.queue.stored_bytes(owner) == len(scan)
    guarded.alice.http.delete(f"/jobs/{made.json()['id']}")
    assert guarded.api.queue.stored_bytes(owner) == 0


def test_large_requests_are_charged_until_their_jobs_are_removed(guarded: Guarded) -> None:
    (_, owner, _) = token_of(guarded.alice).split("_", 2)

    def fit(samples: int) -> httpx.Response:
        measured = [{"source": {"latent": [1 / 3] * 8}, "value": k} for k in range(samples)]
        body = {"method": "regression", "name": f"d{samples}", "attribute": "size", "samples": measured}
        return guarded.alice.post("/models/tiny/directions", body)

    def charged() -> int:
        return guarded.api.queue.stored_bytes(owner)

    assert fit(8).status_code == 202
    assert charged() == 0
    job_id = fit(50).json()["id"]
    queued = charged()
    assert_over(fit(51))
    guarded.alice.http.delete(f"/jobs/{job_id}")
    assert queued > charged() > 0
    guarded.alice.http.delete(f"/jobs/{job_id}")
    assert charged() == 0


def entry(name: str, size_bytes: int) -> ResultFile:
    return ResultFile(name=name, index=0, media_type="image/png", size_bytes=size_bytes, sha256="a" * 64)


def test_a_running_job_may_not_store_more_than_its_key_has_left(guarded: Guarded) -> None:
    worker, (_, owner, _) = deliveries(guarded.api.queue), token_of(guarded.alice).split("_", 2)
    first, second = guarded.alice.submit(), guarded.alice.submit()
    for job_id in (first, second):
        worker.claim(job_id, 1, "test")
    worker.reserve(first, 1, 15_000)
    worker.reserve(first, 1, 15_000)
    with pytest.raises(QuotaExceeded):
        worker.reserve(second, 1, 5_001)
    worker.reserve(second, 1, 5_000)
    worker.keep(first, 1, Manifest(results=[entry("a", 12_000)]), None)
    assert guarded.api.queue.stored_bytes(owner) == 17_000
    worker.reserve(second, 1, 8_000)
    guarded.bob.submit()


def test_nobodys_jobs_have_no_limits(queue: JobQueue, submit: Callable[..., Any]) -> None:
    job = submit()
    deliveries(queue).claim(job.id, 1, "test")
    deliveries(queue).reserve(job.id, 1, 10**15)
    assert queue.stored_bytes("") == 0


# -- keys themselves


@pytest.fixture
def keys(redis: Redis, settings: Settings) -> ApiKeys:
    return ApiKeys(redis, settings)


def test_the_secret_is_nowhere_in_the_server(keys: ApiKeys, redis: Redis, settings: Settings) -> None:
    key, token = keys.create("alice", {Scope.JOBS})
    secret = token.removeprefix(f"vxs_{key.id}_")
    assert len(secret) == 43
    for name in redis.keys(f"{settings.queue_prefix}:*"):
        value: Any = redis.hgetall(name) if redis.type(name) == b"hash" else redis.zrange(name, 0, -1)
        assert secret not in str(value)
        assert secret not in str(name)
    assert secret not in repr(key) + repr(keys.list())


def test_a_revoked_key_stays_in_the_list_and_keeps_the_service_closed(keys: ApiKeys) -> None:
    rule = KeyRule(keys, "127.0.0.1")
    assert not rule.holds()
    with pytest.raises(ValueError, match="keys create"):
        check_exposure("0.0.0.0", keys)
    key, _ = keys.create("alice", {Scope.JOBS})
    assert rule.holds()
    check_exposure("0.0.0.0", keys)
    keys.revoke(key.id)
    assert rule.holds(), "revoking the last key must not open the service"
    with pytest.raises(ValueError, match="keys create"):
        check_exposure("0.0.0.0", keys)
    assert [key.revoked_at is not None for key in keys.list()] == [True]
    with pytest.raises(UnknownKey):
        keys.revoke("nothing")


def test_a_key_that_a_full_server_cannot_revoke_is_not_said_to_be(
    own_valkey: ValkeyProcess, settings: Settings
) -> None:
    own = settings.model_copy(update={"redis_url": SecretStr(own_valkey.url)})
    with connect(own) as redis:
        keys = ApiKeys(redis, own)
        key, token = keys.create("alice", {Scope.JOBS})
        redis.config_set("maxmemory", "1mb")
        with pytest.raises(QueueUnavailable):
            keys.revoke(key.id)
        with pytest.raises(QueueUnavailable):
            keys.create("bob", {Scope.JOBS})
        environment = {"VOXELSMITH_REDIS_URL": own_valkey.url, "VOXELSMITH_QUEUE_PREFIX": own.queue_prefix}
        command = [sys.executable, "-m", "voxelsmith", "keys", "revoke", key.id]
        told = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert (told.returncode, told.stdout, told.stderr.count("\n")) == (1, "", 1)
        assert keys.authenticate(token).id == key.id
        redis.config_set("maxmemory", 0)
        keys.revoke(key.id)
        assert [(known.id, known.revoked_at is not None) for known in keys.list()] == [(key.id, True)]


def test_models_can_be_looked_at_while_the_queue_is_away(
    settings: Settings, models: Path, own_valkey: ValkeyProcess
) -> None:
    changes = {"port": 0, "models_url": str(models), "redis_url": SecretStr(own_valkey.url)}
    with serving(settings.model_copy(update=changes)) as api:
        own_valkey.kill()
        assert api.http.get("/models").status_code == 200
        assert api.http.get("/jobs").status_code == 503


def test_other_hosts_need_a_key_even_where_none_was_made(settings: Settings, models: Path) -> None:
    with serving(settings.model_copy(update={"port": 0, "host": "0.0.0.0"})) as api:
        assert api.http.get("/jobs").status_code == 401
        assert api.http.get("/healthz").status_code == 200


def test_the_client_brings_its_key_and_no_log_has_it(guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    token, url = token_of(guarded.alice), str(guarded.api.http.base_url)
    with caplog.at_level(logging.DEBUG), Client(url, token) as client:
        job = client.generate(model="tiny", seed=1)
        assert [known.id for known in client.jobs()] == [job.id]
        assert token not in repr(client) + json.dumps(job.record)
    with Client(url, api_key="vxs_wrong") as client, pytest.raises(Unauthorized):
        list(client.jobs())
    assert token not in caplog.text
    assert "vxs_wrong" not in caplog.text
