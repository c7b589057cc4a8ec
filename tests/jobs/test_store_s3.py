"""The result store in an S3 bucket, over HTTP: what a file:// store promises, and what only a bucket has."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import nibabel
import numpy as np
import pytest

from contract.errors import LeaseLost, StoreUnavailable, UnknownResult
from contract.state import ResultFile
from jobs.results.bucket import PART_BYTES
from jobs.results.store import ResultStore
from jobs.settings import Settings
from tests.support.buckets import S3, hasty, s3, s3_server  # noqa: F401
from tests.support.processes import eventually
from tests.support.service_fixtures import LEASE_S, SHORT_LEASE_S, Api, models, serving, until  # noqa: F401
from tests.support.sides import scripts
from voxelsmith import Client

DATA = os.urandom(3000)


@pytest.fixture
def store(s3: S3) -> ResultStore:
    return s3.store()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def remote(s3: S3, settings: Settings, models: Path) -> Iterator[Api]:
    """A front end whose results lie in the bucket."""
    changes = {"port": 0, "models_url": str(models), "store_url": s3.url, "lease_s": LEASE_S}
    with serving(settings.model_copy(update=changes)) as api:
        yield api


@pytest.mark.parametrize("size", [0, 17, PART_BYTES, 2 * PART_BYTES + 12345])
def test_a_written_object_reads_back(store: ResultStore, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    written = store.write("results/j/a", tmp_path / "file")
    assert written == (size, hashlib.sha256(content).hexdigest())
    assert b"".join(store.open("results/j/a")) == content
    assert b"".join(store.open("results/j/a", 5, 900)) == content[5:900]
    assert store.verify("results/j/a", written[1])
    assert not store.verify("results/j/a", "0" * 64)
    with store.read_path("results/j/a") as path:
        assert path.read_bytes() == content
    with (tmp_path / "file").open("rb") as file:
        file.seek(0, os.SEEK_END)
        assert store.write("uploads/j/scan", file) == written
    assert b"".join(store.open("uploads/j/scan")) == content


def test_readers_see_one_object_or_the_other(store: ResultStore, tmp_path: Path) -> None:
    bodies = {b"1" * 300_000, b"2" * 300_000}
    for body in bodies:
        (tmp_path / body[:1].decode()).write_bytes(body)
    store.write("results/j/a", tmp_path / "1")
    over, seen = threading.Event(), set()

    def read() -> None:
        while not over.is_set():
            seen.add(b"".join(store.open("results/j/a")))

    reader = threading.Thread(target=read)
    reader.start()
    for name in "2121":
        store.write("results/j/a", tmp_path / name)
    over.set()
    reader.join()
    assert seen <= bodies


def test_an_exclusive_write_replaces_nothing(store: ResultStore, source: Path, tmp_path: Path) -> None:
    store.write("directions/m/a.json", source, exclusive=True)
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(FileExistsError):
        store.write("directions/m/a.json", tmp_path / "other", exclusive=True)
    assert b"".join(store.open("directions/m/a.json")) == DATA


def test_what_is_not_there_is_unknown_and_what_stops_a_write_leaves_nothing(store: ResultStore, source: Path) -> None:
    def refuse() -> None:
        raise LeaseLost

    with pytest.raises(LeaseLost):
        store.write("results/j/a", source, check=refuse)
    for ask in (store.size, store.open, store.remove):
        with pytest.raises(UnknownResult):
            ask("results/j/a")
    assert store.list("results") == []


@pytest.mark.fault
def test_a_late_upload_of_a_lost_worker_replaces_nothing(store: ResultStore, tmp_path: Path) -> None:
    """Whatever it makes of the same sample lies elsewhere, as far as its bytes differ."""
    entry = ResultFile(name="000.nii", index=0, media_type="application/octet-stream", size_bytes=0, sha256="")
    for body in (b"published", b"too late!"):
        path = tmp_path / "file"
        path.write_bytes(body)
        store.write_result("j", entry, path)
    sha256 = hashlib.sha256(b"published").hexdigest()
    assert store.verify(store.result_key("j", "000.nii", sha256), sha256)
    store.remove_prefix("results/j")
    assert store.list("results") == []


def test_a_sweep_removes_what_no_record_names(store: ResultStore, source: Path) -> None:
    for key in ("results/kept/a", "results/lost/a", "results/lost/b", "uploads/lost/scan", "directions/m/a.json"):
        store.write(key, source)
    assert store.sweep(lambda job_id: job_id == "kept", min_age_s=3600) == 0
    assert store.sweep(lambda job_id: job_id == "kept", min_age_s=-60) == 2
    assert [*store.list("results"), *store.list("uploads")] == ["results/kept/a"]
    assert store.list("directions") == ["directions/m/a.json"]


def test_readiness_tells_of_buckets_that_cannot_be_used(s3: S3, store: ResultStore) -> None:
    assert store.writable()
    assert not ResultStore("s3://there-is-no-such-bucket/a").writable()
    s3.gate.turn("shut")
    assert not store.writable()
    s3.gate.turn("open")
    assert store.writable()


@pytest.mark.fault
@pytest.mark.parametrize("state", ["shut", "hole"])
def test_a_bucket_that_is_away_is_unavailable_within_seconds(
    s3: S3, store: ResultStore, hasty: dict[str, Any], source: Path, state: Any
) -> None:
    store.write("results/j/a", source)  # `store` is older than the haste: a busy machine may need longer
    patient, store = store, s3.store()
    s3.gate.turn(state)
    asks = (
        lambda: store.write("results/j/b", source),
        lambda: store.size("results/j/a"),
        lambda: list(store.open("results/j/a")),
        lambda: store.list("results"),
        lambda: store.remove("results/j/a"),
        lambda: store.remove_prefix("results/j"),
    )
    for ask in asks:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as failure:
            ask()
        assert time.monotonic() - began < 15
        assert "127.0.0.1" not in failure.value.detail
    s3.gate.turn("open")
    assert b"".join(patient.open("results/j/a")) == DATA
    eventually(lambda: answers(store))


def answers(store: ResultStore) -> bool:
    with contextlib.suppress(StoreUnavailable):
        return b"".join(store.open("results/j/a")) == DATA
    return False


def test_a_missing_bucket_is_unavailable_not_empty(s3: S3, source: Path) -> None:
    store = ResultStore("s3://there-is-no-such-bucket/a")
    for ask in (lambda: store.write("results/j/a", source), lambda: store.list("results")):
        with pytest.raises(StoreUnavailable):
            ask()


# -- through the front end ---------------------------------------------------------------------------------------


def made(api: Api) -> str:
    """The address of a result."""
    job_id = api.submit()
    api.finish(job_id, {"000.nii.gz": DATA})
    return f"/jobs/{job_id}/results/000.nii.gz"


def test_a_result_is_fetched_from_the_bucket_by_a_short_lived_address(remote: Api, s3: S3) -> None:
    answer = remote.http.get(made(remote))
    assert answer.status_code == 307
    assert answer.headers["cache-control"] == "no-store"
    url = urlsplit(answer.headers["location"])
    query = parse_qs(url.query)
    assert query["X-Amz-Expires"] == ["120"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert "a-secret" not in answer.headers["location"]
    file = httpx.get(answer.headers["location"], timeout=60)
    assert file.content == DATA
    assert file.headers["content-type"] == "application/gzip"
    assert file.headers["content-disposition"] == 'attachment; filename="000.nii.gz"'
    part = httpx.get(answer.headers["location"], headers={"Range": "bytes=10-19"}, timeout=60)
    assert (part.status_code, part.content) == (206, DATA[10:20])


def test_head_and_conditions_are_answered_here(remote: Api) -> None:
    url = made(remote)
    head = remote.http.head(url)
    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(DATA))
    assert remote.http.get(url, headers={"If-None-Match": head.headers["etag"]}).status_code == 304
    assert remote.http.get(url, headers={"Range": "bytes=999999-"}).status_code == 416
    other = remote.http.get(url, headers={"Range": "bytes=0-4", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, DATA)
    same = remote.http.get(url, headers={"Range": "bytes=0-4", "If-Range": head.headers["etag"]})
    assert same.status_code == 307


def test_scripts_of_a_page_get_the_bytes_themselves(remote: Api) -> None:
    url = made(remote)
    answer = remote.http.get(url, headers={"Sec-Fetch-Mode": "cors"})
    assert (answer.status_code, answer.content) == (200, DATA)
    part = remote.http.get(url, headers={"Sec-Fetch-Mode": "cors", "Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, DATA[10:20])
    assert remote.http.get(url, headers={"Sec-Fetch-Mode": "navigate"}).status_code == 307
    # Browsers say so to servers with TLS alone.
    assert remote.http.get(url, headers={"Prefer": "redirect=no"}).content == DATA


def test_redirects_can_be_switched_off_or_lead_to_a_public_address(s3: S3, settings: Settings, models: Path) -> None:
    changes = {"port": 0, "models_url": str(models), "store_url": s3.url, "lease_s": LEASE_S}
    own = settings.model_copy(update=changes)
    with serving(own.model_copy(update={"store_redirect_s": 0})) as api:
        assert api.http.get(made(api)).content == DATA
    with serving(own.model_copy(update={"store_public_endpoint": "https://s3.example:9000"})) as api:
        assert api.http.get(made(api)).headers["location"].startswith(f"https://s3.example:9000/{s3.name}/some/where/")


@pytest.mark.fault
def test_a_lost_or_replaced_object_is_never_sent(remote: Api, s3: S3) -> None:
    for change in (lambda key: s3.put(key, bytes(len(DATA))), remote.queue.results.remove):
        url = made(remote)
        (key,) = remote.stored(f"results/{url.split('/')[2]}")
        change(key)
        for headers in ({}, {"Sec-Fetch-Mode": "cors"}):
            answer = remote.http.get(url, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (410, "result_damaged")
        answer = remote.post("/encode", {"model": "tiny", "source": {"job": url.split("/")[2]}})
        assert (answer.status_code, answer.json()["code"]) == (410, "result_damaged")
    assert remote.stored("uploads") == []


@pytest.mark.fault
def test_a_bucket_that_is_away_is_503_and_not_ready(
    s3: S3, store: ResultStore, hasty: Any, settings: Settings, models: Path
) -> None:
    changes = {"port": 0, "models_url": str(models), "store_url": s3.url, "lease_s": LEASE_S}
    with serving(settings.model_copy(update=changes)) as api:
        api.queue.results = store  # the test's own, which is older than the haste
        url = made(api)
        s3.gate.turn("hole")
        for headers in ({}, {"Sec-Fetch-Mode": "cors"}):
            answer = api.http.get(url, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert api.http.get("/readyz").json()["checks"]["store"] is False
        s3.gate.turn("open")
        eventually(lambda: api.http.get("/readyz").json()["checks"]["store"])
        eventually(lambda: api.http.get(url).status_code == 307)


def test_the_client_follows_without_its_key(remote: Api, tmp_path: Path) -> None:
    seen: list[httpx.Request] = []
    url = made(remote)
    job_id = url.split("/")[2]
    with Client(f"http://127.0.0.1:{remote.port}", api_key="vxs_secret") as client:
        client._http.event_hooks["request"].append(seen.append)
        job = client.job(job_id)
        assert client.read(url, job.results[0]["sha256"]) == DATA
        client.save(url, tmp_path / "saved", job.results[0]["sha256"])
    assert (tmp_path / "saved").read_bytes() == DATA
    for request in seen:
        assert ("authorization" in request.headers) == (request.url.port == remote.port)
    assert sum(request.url.port != remote.port for request in seen) == 2


def test_scans_go_into_the_bucket_and_results_come_back_as_scans(remote: Api, s3: S3, tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    nibabel.Nifti1Image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4)).to_filename(scan)
    form = {"volume": ("scan", scan.read_bytes()), "request": (None, '{"model": "tiny"}', "application/json")}
    posted = remote.http.post("/encode", files=form)
    assert posted.status_code == 202, posted.text
    assert s3.get(f"uploads/{posted.json()['id']}/scan") == scan.read_bytes()
    job_id = remote.submit()
    remote.finish(job_id, {"000.nii": scan.read_bytes()})
    again = remote.post("/encode", {"model": "tiny", "source": {"job": job_id, "index": 0}})
    assert again.status_code == 202, again.text
    assert s3.get(f"uploads/{again.json()['id']}/scan") == scan.read_bytes()
    refused = remote.http.post("/encode", files={**form, "volume": ("scan", b"not a volume")})
    assert refused.status_code == 422
    assert len(remote.stored("uploads")) == 2


def test_expiry_and_removal_empty_the_bucket(s3: S3, settings: Settings, models: Path) -> None:
    changes = {"port": 0, "models_url": str(models), "store_url": s3.url, "lease_s": SHORT_LEASE_S}
    with serving(settings.model_copy(update=changes)) as api:
        url = made(api)
        assert api.http.get(url).status_code == 307
        api.queue.redis.zadd(scripts(api.queue).key("expiring"), {url.split("/")[2]: 1})  # its time is over
        until(lambda: not api.stored("results"))
        assert api.http.get(url).status_code == 410
        url = made(api)
        assert api.http.delete(url.partition("/results")[0]).status_code == 204
        assert api.stored("results") == []
