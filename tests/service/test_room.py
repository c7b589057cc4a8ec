"""A store without room, jobs that ask for too much, and what is cleared away."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.errors import InvalidRequest, StoreFull
from contract.requests import EditRequest, EncodeRequest, FitDirectionRequest, GenerateRequest
from jobs.keys import ApiKeys, Scope
from jobs.settings import Settings
from service.admission.size import check_size
from service.http.multipart import Spool
from tests.service.test_keys import assert_over
from tests.service.test_uploads import encode, open_files, scan  # noqa: F401
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.service_fixtures import SHORT_LEASE_S, Api, models, serving, until  # noqa: F401


@pytest.fixture
def full(settings: Settings, models: Path) -> Iterator[Api]:
    """A front end whose disk has less free space than it wants to keep."""
    more = shutil.disk_usage(settings.store_url.removeprefix("file://").rpartition("/")[0]).free * 2
    changes = {"port": 0, "models_url": str(models), "min_free_bytes": more, "result_ttl_s": 1}
    with serving(settings.model_copy(update=changes)) as running:
        yield running


@pytest.mark.fault
def test_a_full_store_refuses_work_before_it_comes(full: Api, scan: bytes) -> None:
    edit = {"op": "move", "direction": "shipped-one", "strengths": [1]}
    encode(full, scan)
    before = open_files()
    for answer in (
        full.post("/generate", {"model": "tiny"}),
        full.post("/edit", {"model": "tiny", "source": {"seed": 1}, "edit": edit}),
        full.post("/models/tiny/directions", {"method": "sefa", "name_prefix": "p"}),
        encode(full, scan),
        full.post("/encode", {"model": "tiny", "source": {"job": "x"}}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (507, "store_full"), answer.text
    assert full.http.get("/jobs").json()["items"] == []
    assert full.stored("uploads") == []
    until(lambda: open_files() <= before + 3)  # connections that stay open, no spooled scan
    ready = full.http.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["store"]) == (503, False)
    assert full.http.get("/models").status_code == 200


@pytest.mark.fault
def test_an_upload_stops_where_its_disk_would_be_full(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    with (tmp_path / "spool").open("w+b", buffering=0) as file:
        with pytest.raises(StoreFull):
            Spool(file, free * 2).write(b"x")
        spool = Spool(file, free // 2)
        for _ in range(20):
            spool.write(b"\0" * 2**20)
        assert spool.size_bytes == 20 * 2**20


def test_an_upload_stops_where_its_key_has_no_bytes_left(settings: Settings, models: Path, scan: bytes) -> None:
    changes = {"port": 0, "models_url": str(models), "key_max_bytes": len(scan) + 1000}
    with serving(settings.model_copy(update=changes)) as api:
        _, token = ApiKeys(api.queue.redis, settings).create("a", {Scope.JOBS})
        api.http.headers["Authorization"] = f"Bearer {token}"
        assert_over(encode(api, b"x" * 100_000))
        assert encode(api, scan).status_code == 202
        assert_over(encode(api, scan))
        assert len(api.stored("uploads")) == 1


def test_an_expired_job_leaves_nothing_of_itself(settings: Settings, models: Path, scan: bytes) -> None:
    changes = {"port": 0, "models_url": str(models), "result_ttl_s": 1, "lease_s": SHORT_LEASE_S}
    with serving(settings.model_copy(update=changes)) as api:
        _, token = ApiKeys(api.queue.redis, settings).create("a", {Scope.JOBS})
        api.http.headers["Authorization"] = f"Bearer {token}"
        job_id = encode(api, scan, headers={"Idempotency-Key": "k"}).json()["id"]
        api.finish(job_id, {"000.nii.gz": b"x"})
        until(lambda: api.http.get(f"/jobs/{job_id}").status_code == 410)
        # The front end's reaper removes the files after the record.
        until(lambda: api.stored("results") == api.stored("uploads") == [])
        left = {name.decode().removeprefix(f"{settings.queue_prefix}:") for name in api.queue.redis.keys(
            f"{settings.queue_prefix}:*")}  # fmt: skip
        owner = token.split("_")[1]
        assert left <= {
            "seq",
            "accepted",
            "clock",
            "counts",
            "stored",
            "memory",
            "keys",
            f"key:{owner}",
            f"gone:{job_id}",
        }
        assert api.queue.stored_bytes(owner) == 0


# -- samples x voxels

MOVE = {"op": "move", "direction": "d", "strengths": [1, 2, 3]}
TARGET = {"op": "target", "direction": "d", "values": [1, 2]}
BLEND = {"op": "interpolate", "target": {"seed": 1}, "steps": 5}
MEASURED = {"method": "regression", "name": "n", "attribute": "a", "measure": {"name": "mean_intensity"}}
SIZES: list[tuple[Any, dict[str, Any], int, str | None]] = [
    (GenerateRequest, {"num_samples": 5}, 5, "/num_samples"),
    (GenerateRequest, {"seeds": [1, 2, 3, 4, 5]}, 5, "/seeds"),
    (GenerateRequest, {"latents": [[0.0]] * 5}, 5, "/latents"),
    (GenerateRequest, {}, 1, None),
    (EditRequest, {"source": {"seed": 1}, "edit": MOVE}, 3, "/edit/strengths"),
    (EditRequest, {"source": {"seed": 1}, "edit": TARGET}, 2, None),
    (EditRequest, {"source": {"seed": 1}, "edit": BLEND}, 5, "/edit/steps"),
    (EncodeRequest, {"source": {"job": "x"}}, 1, None),
    (FitDirectionRequest, {"fit": MEASURED}, 64, None),
    (FitDirectionRequest, {"fit": {"method": "sefa", "name_prefix": "p"}}, 1, None),
]


@pytest.mark.parametrize(("shape", "fields", "count", "pointer"), SIZES)
def test_a_job_makes_no_more_voxels_than_allowed(
    shape: Any, fields: dict[str, Any], count: int, pointer: str | None, tmp_path: Path
) -> None:
    card = write_tiny_hagan(tmp_path, "tiny")
    x, y, z = card.shape
    request = shape.model_validate({"model": "tiny", **fields})
    assert request.samples == count
    check_size(request, card, max(5, count) * x * y * z)
    if pointer is None:
        return
    with pytest.raises(InvalidRequest) as caught:
        check_size(request, card, count * x * y * z - 1)
    assert caught.value.errors[0][0] == pointer
    assert f"at most {count - 1} volumes" in caught.value.errors[0][1]


def test_too_many_voxels_are_refused_over_http(settings: Settings, models: Path) -> None:
    with serving(settings.model_copy(update={"port": 0, "models_url": str(models), "max_job_voxels": 100})) as api:
        answer = api.post("/generate", {"model": "tiny", "num_samples": 1})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/num_samples")
