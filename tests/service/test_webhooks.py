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

import httpx2 as httpx
import pytest
from pydantic import ValidationError

from contract.errors import InvalidRequest
from contract.requests import GenerateRequest
from contract.state import JobState
from jobs.keys import ANYBODY, ApiKeys, Scope
from jobs.ownership import OwnJobs
from jobs.settings import Settings
from jobs.webhooks.signing import Secrets
from service.admission.webhooks import check_webhook
from tests.service.test_keys import assert_over
from tests.support.processes import ValkeyProcess
from tests.support.receivers import receiving
from tests.support.service_fixtures import LEASE_S, Api, models, serving, until  # noqa: F401
from voxelsmith import Client

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
        near.finish(job_id, {"000.nii.gz": b"x"}, encoded=[[0.12890625] * 8])
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
    assert "0.12890625" not in got.body.decode()
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
        with Client(str(near.http.base_url)) as client:
            client.generate(model="tiny", webhook=receiver.url).cancel()
        canceled = [
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


REFUSED = [
    "https://", "ftp://a.example/", "a.example", "https://u@a.example/", "https://a.example/#x", "https://a.example:0/",
    "https://a.example/\r\nX: y", "https://a.example/ x", "https://127.1/", "https://2130706433/", "https://0x7f.0.0.1/",
    "https://[::1%25lo]/", "https://a..example/", "https://é.example/", "https://a.example/" + "x" * 2048, "",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "[::1]", "[::]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a00:1]", "[fe80::1]",
    "[fc00::1]", "[ff02::1]", "[2002:a00:1::]", "[2001:db8::1]", "[::127.0.0.1]", "[fec0::1]", "[2001::1]",
    "192.0.0.8", "192.88.99.1", "[3fff::1]",
]  # fmt: skip


def test_what_is_no_public_https_address_is_refused(near: Api, settings: Settings) -> None:
    def check(url: str, under: Settings = settings) -> None:
        check_webhook(GenerateRequest(model="tiny", webhook=url), OwnJobs(near.queue, ANYBODY), under)

    for url in (
        "https://a.example",
        "https://1.1.1.1:8443/x?y=z",
        "https://[2606:4700::1111]/",
        "https://xn--9ca.example/",
    ):
        check(url)
    for url in REFUSED:
        with pytest.raises(ValidationError):
            check(url)
    for url in ("http://a.example/", *(f"https://{host}/" for host in PRIVATE)):
        with pytest.raises(InvalidRequest) as refused:
            check(url)
        assert [pointer for pointer, _ in refused.value.errors] == ["/webhook"], url
    allowed = settings.model_copy(update={"webhook_networks": "10.1.0.0/16, fc00::/7", "webhook_http": True})
    for url in ("http://10.1.2.3/", "https://[::ffff:10.1.2.3]/", "https://[fc00::1]/"):
        check(url, allowed)
    with pytest.raises(InvalidRequest):
        check("http://10.2.2.3/", allowed)
    for url in ("https://a.example/ secret", "https://10.1.2.3/secret"):
        answer = near.post("/generate", {"model": "tiny", "webhook": url})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/webhook")
        assert "secret" not in answer.text


def test_a_webhook_is_part_of_what_an_idempotency_key_stands_for(near: Api) -> None:
    def posted(webhook: str) -> httpx.Response:
        return near.post("/generate", {"model": "tiny", "seed": 1, "webhook": webhook}, **{"Idempotency-Key": "k"})

    first = posted("https://a.example/1")
    assert posted("https://a.example/1").json()["id"] == first.json()["id"]
    assert posted("https://a.example/2").status_code == 422
