"""Webhooks: who may name one, what arrives and how it is signed, what the record tells, and what ends it."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.state import JobState
from jobs.keys import ApiKeys, Scope
from jobs.settings import Settings
from jobs.webhooks.signing import Secrets
from tests.service.test_keys import assert_over
from tests.support.processes import ValkeyProcess
from tests.support.receivers import receiving
from tests.support.service_fixtures import LEASE_S, Api, models, serving, shared_api, until  # noqa: F401
from tests.support.sides import scripts, upkeep

DOC = Path(__file__).parents[2] / "docs" / "webhooks.md"
TIMES = ("created", "started", "ended", "expires")


@pytest.fixture(scope="module")
def near(valkey: ValkeyProcess, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A front end without keys that also sends to this machine, over plain HTTP."""
    settings = Settings(
        port=0,
        redis_url=valkey.url,  # type: ignore[arg-type]
        store_url=f"file://{tmp_path_factory.mktemp('near')}/store",
        models_url=str(models),
        queue_prefix=f"t{uuid.uuid4().hex[:8]}",
        webhook_http=True,
        webhook_networks="127.0.0.0/8",
    )
    with serving(settings) as running:
        yield running


def hook_of(api: Api, job_id: str) -> dict[str, Any]:
    return dict(api.http.get(f"/jobs/{job_id}").json()["webhook"])


def is_genuine(secret: str, fields: dict[str, str], body: bytes) -> bool:
    """As docs/webhooks.md has it, word for word."""
    (example,) = re.findall(r"^```python\n(.+?)^```$", DOC.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"base64": base64, "hashlib": hashlib, "hmac": hmac, "time": time}
    exec(example, names)
    return bool(names["is_genuine"](secret, fields, body))


def test_the_end_of_a_job_is_told_signed_and_without_what_is_nobodys_business(near: Api) -> None:
    with receiving() as receiver:
        job_id = near.submit(webhook=receiver.url)
        record = near.http.get(f"/jobs/{job_id}").json()
        assert record["webhook"]["state"] == "waiting"
        assert "webhook" not in record["request"]
        near.finish(job_id, {"000.nii.gz": b"x"}, encoded=[[0.25] * 8])
        until(lambda: hook_of(near, job_id)["state"] == "delivered")
        record = near.http.get(f"/jobs/{job_id}").json()
    got = receiver.got[0]
    assert got.path == "/hook?token=hidden"
    assert is_genuine(Secrets(near.queue.redis, near.settings).of(""), got.fields, got.body)
    assert not is_genuine(Secrets(near.queue.redis, near.settings).of(""), got.fields, got.body + b" ")
    assert got.fields["webhook-id"] == f"msg_{job_id}"
    told = json.loads(got.body)
    assert (told["type"], told["timestamp"]) == ("job.succeeded", record["ended_at"])
    assert told["data"]["url"] == f"/jobs/{job_id}"
    same = (
        "id",
        "kind",
        "model",
        "model_sha256",
        "state",
        "created_at",
        "started_at",
        "ended_at",
        "expires_at",
        "error",
    )
    assert {name: told["data"][name] for name in same} == {name: record[name] for name in same}
    assert told["data"]["results"] == [
        {name: record["results"][0][name] for name in ("name", "media_type", "size_bytes", "sha256", "url")}
    ]
    assert "0.25" not in got.body.decode()
    assert record["webhook"] | {"delivered_at": None} == {
        "receiver": f"http://127.0.0.1:{receiver.port}", "state": "delivered", "attempts": 1, "last_status": 204,
        "last_problem": None, "next_try_at": None, "delivered_at": None,
    }  # fmt: skip
    assert "hidden" not in near.http.get("/jobs").text
    assert 'voxelsmith_webhooks_total{outcome="delivered"} 1.0' in near.http.get("/metrics").text


def test_every_kind_of_job_takes_one_and_every_end_is_told(near: Api) -> None:
    with receiving() as receiver:
        hook = {"webhook": receiver.url}
        move = {"op": "move", "direction": "shipped-one", "strengths": [1]}
        seed = {"source": {"seed": 1}}
        canceled = [
            near.post("/generate", {"model": "tiny", **hook}),
            near.post("/encode", {"model": "tiny", **seed, **hook}),
            near.post("/edit", {"model": "tiny", "edit": move, **seed, **hook}),
            near.post("/models/tiny/directions", {"method": "sefa", "name_prefix": "p", **hook}),
        ]
        for answer in canceled:
            assert answer.status_code == 202, answer.text
            near.http.delete(answer.headers["location"])
        failed = near.submit(**hook)
        near.finish(failed, state=JobState.FAILED)
        until(lambda: len(receiver.got) == 5)
    told = [json.loads(got.body) for got in receiver.got]
    assert sorted(body["type"] for body in told) == ["job.canceled"] * 4 + ["job.failed"]
    assert {body["data"]["kind"] for body in told} == {"generate", "encode", "edit", "fit_direction"}


def hasten(api: Api, job_id: str) -> None:
    """As if the time of its next attempt had come."""
    api.queue.redis.zadd(scripts(api.queue).key("webhooks"), {job_id: 1}, xx=True)


def failed_with(api: Api, job_id: str, status: int) -> dict[str, Any]:
    """The state of a webhook once an attempt was answered so."""
    until(lambda: hook_of(api, job_id)["last_status"] == status)
    return hook_of(api, job_id)


def test_what_fails_is_tried_again_and_given_up_in_the_end(near: Api) -> None:
    with receiving(503, 302, 404, Location="http://127.0.0.1:1/") as receiver:
        job_id = near.submit(webhook=receiver.url)
        near.http.delete(f"/jobs/{job_id}")
        for status in (503, 302, 404):
            hook = failed_with(near, job_id, status)
            assert hook["state"] == "pending"
            assert hook["next_try_at"] > near.http.get(f"/jobs/{job_id}").json()["ended_at"]
            hasten(near, job_id)
        until(lambda: hook_of(near, job_id)["state"] == "delivered")
        assert len({(got.fields["webhook-id"], got.body) for got in receiver.got}) == 1
    with receiving(410) as receiver:
        job_id = near.submit(webhook=receiver.url)
        near.http.delete(f"/jobs/{job_id}")
        until(lambda: hook_of(near, job_id)["state"] == "given_up")
    near.queue.redis.hset(scripts(near.queue).key("job", last := near.submit(webhook=receiver.url)), "hook_attempts", 7)
    near.http.delete(f"/jobs/{last}")
    until(lambda: hook_of(near, last)["state"] == "given_up")
    assert (hook_of(near, last)["attempts"], hook_of(near, last)["last_problem"]) == (8, "unreachable")
    assert near.queue.redis.zcard(scripts(near.queue).key("webhooks")) == 0


def test_a_removed_or_expired_job_tells_nothing_more(near: Api) -> None:
    with receiving(500, 500) as receiver:
        removed, expired = near.submit(webhook=receiver.url), near.submit(webhook=receiver.url)
        hasten(near, removed)
        until(lambda: (near.queue.redis.zscore(scripts(near.queue).key("webhooks"), removed) or 0) > 1)
        assert (hook_of(near, removed)["state"], hook_of(near, removed)["attempts"]) == ("waiting", 0)
        for job_id in (removed, expired):
            near.http.delete(f"/jobs/{job_id}")
        until(lambda: all(hook_of(near, job_id)["last_status"] == 500 for job_id in (removed, expired)))
        assert near.http.delete(f"/jobs/{removed}").status_code == 204
        near.queue.redis.zadd(scripts(near.queue).key("expiring"), {expired: 1})
        upkeep(near.queue).reap()
        assert near.queue.redis.zcard(scripts(near.queue).key("webhooks")) == 0
        assert near.queue.redis.zcard(scripts(near.queue).key("webhooks", "sending")) == 0


# -- who may, and how many


@dataclass
class Holder:
    """Of a key."""

    id: str
    http: httpx.Client

    def post(self, **fields: Any) -> httpx.Response:
        return self.http.post("/generate", json={"model": "tiny", **fields})


@pytest.fixture
def keyed(settings: Settings, models: Path) -> Iterator[tuple[Api, Holder, Holder]]:
    """A front end with two keys: one may name webhooks."""
    changes = {"port": 0, "models_url": str(models), "lease_s": LEASE_S, "key_max_webhooks": 2, "webhook_http": True}
    with serving(settings.model_copy(update={**changes, "webhook_networks": "127.0.0.0/8"})) as api:
        keys = ApiKeys(api.queue.redis, api.settings)
        made = [keys.create("a", {Scope.JOBS, Scope.WEBHOOKS}), keys.create("b", {Scope.JOBS, Scope.ADMIN})]
        clients = [
            httpx.Client(base_url=api.http.base_url, headers={"Authorization": f"Bearer {token}"}) for _, token in made
        ]
        may, may_not = (Holder(key.id, client) for (key, _), client in zip(made, clients, strict=True))
        yield api, may, may_not
        for client in clients:
            client.close()


def test_a_key_needs_the_scope_and_has_so_many_and_a_secret_of_its_own(keyed: tuple[Api, Holder, Holder]) -> None:
    api, may, may_not = keyed
    with receiving() as receiver:
        refused = may_not.post(webhook=receiver.url)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        first, second = may.post(webhook=receiver.url), may.post(webhook=receiver.url)
        assert (first.status_code, second.status_code) == (202, 202)
        assert_over(may.post(webhook=receiver.url))
        assert may.post().status_code == 202
        may.http.delete(first.headers["location"])
        until(lambda: len(receiver.got) == 1)
        until(lambda: may.post(webhook=receiver.url).status_code == 202)
        secrets = Secrets(api.queue.redis, api.settings)
        assert is_genuine(secrets.of(may.id), receiver.got[0].fields, receiver.got[0].body)
        assert len({secrets.of(may.id), secrets.of(may_not.id), secrets.of(""), secrets.renew("")}) == 4
        may.http.delete(second.headers["location"])
        until(lambda: len(receiver.got) == 2)


def test_a_revoked_keys_jobs_tell_nothing(keyed: tuple[Api, Holder, Holder]) -> None:
    api, may, _ = keyed
    with receiving() as receiver:
        job_id = may.post(webhook=receiver.url).json()["id"]
        ApiKeys(api.queue.redis, api.settings).revoke(may.id)
        api.queue.cancel(job_id)
        until(lambda: api.queue.get(job_id).webhook.state == "given_up")  # type: ignore[union-attr]
        assert api.queue.get(job_id).webhook.last_problem == "key_revoked"  # type: ignore[union-attr]
        assert receiver.got == []


REFUSED = [
    "https://", "ftp://a.example/", "a.example", "https://u@a.example/", "https://a.example/#x", "https://a.example:0/",
    "https://a.example/\r\nX: y", "https://a.example/ x", "https://127.1/", "https://2130706433/", "https://0x7f.0.0.1/",
    "https://[::1%25lo]/", "https://a..example/", "https://é.example/", "https://a.example/" + "x" * 2048, 7, "",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "[::1]", "[::]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a00:1]", "[fe80::1]",
    "[fc00::1]", "[ff02::1]", "[2002:a00:1::]", "[2001:db8::1]", "[::127.0.0.1]", "[fec0::1]", "[2001::1]",
]  # fmt: skip


def test_what_is_no_public_https_address_is_refused(shared_api: Api) -> None:
    for url in [*REFUSED, "http://a.example/", *(f"https://{host}/" for host in PRIVATE)]:
        answer = shared_api.post("/generate", {"model": "tiny", "webhook": url})
        assert answer.status_code == 422, url
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/webhook"], url
        assert "a.example" not in answer.text
    for url in (
        "https://a.example",
        "https://1.1.1.1:8443/x?y=z",
        "https://[2606:4700::1111]/",
        "https://xn--9ca.example/",
    ):
        answer = shared_api.post("/generate", {"model": "tiny", "webhook": url})
        assert answer.status_code == 202, url
        shared_api.http.delete(answer.headers["location"])
        shared_api.http.delete(answer.headers["location"])


def test_a_webhook_is_part_of_what_an_idempotency_key_stands_for(near: Api) -> None:
    def posted(webhook: str) -> httpx.Response:
        return near.post("/generate", {"model": "tiny", "seed": 1, "webhook": webhook}, **{"Idempotency-Key": "k"})

    first = posted("https://a.example/1")
    assert posted("https://a.example/1").json()["id"] == first.json()["id"]
    assert posted("https://a.example/2").status_code == 422
