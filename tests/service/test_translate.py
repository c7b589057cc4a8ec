"""POST /translate: what is taken, what is refused before it is queued, and that nothing stays behind then."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import nibabel
import numpy as np
import pytest

from jobs.settings import Settings
from tests.support.models.tiny_megan import write_megan
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.service_fixtures import Api, serving
from tests.support.sides import deliveries


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_megan(folder, "painter")
    write_tiny_hagan(folder, "tiny")
    return folder


@pytest.fixture
def api(models: Path, settings: Settings) -> Iterator[Api]:
    with serving(settings.model_copy(update={"port": 0, "models_url": str(models), "lease_s": 30.0})) as running:
        yield running


def volume(array: np.ndarray, affine: np.ndarray | None = None) -> bytes:
    image = nibabel.Nifti1Image(array, np.diag([2, 3, 4, 1.0]) if affine is None else affine)
    return gzip.compress(image.to_bytes())


SCAN = np.random.default_rng(0).integers(-100, 900, (40, 36, 33)).astype(np.int16)
LABELS = np.zeros((40, 36, 33), dtype=np.uint8)
LABELS[10:20, 10:20, 10:20] = 4


def post(api: Api, scan: bytes, mask: bytes | None = None, **fields: Any) -> httpx.Response:
    headers = fields.pop("headers", {})
    parts: dict[str, Any] = {
        "volume": ("scan", scan, "application/octet-stream"),
        "request": (None, json.dumps({"model": "painter", **fields}), "application/json"),
    }
    if mask is not None:
        parts["mask"] = ("mask", mask, "application/octet-stream")
    return api.http.post(fields.pop("path", "/translate"), files=parts, headers=headers)


def refused(answer: httpx.Response, api: Api) -> dict[str, Any]:
    """The problem document; no job and no file is left of it."""
    assert 400 <= answer.status_code < 500, answer.text
    assert api.http.get("/jobs").json()["items"] == []
    assert api.stored("uploads") == []
    return dict(answer.json())


def test_a_scan_and_its_mask_lie_in_the_store_under_their_job(api: Api) -> None:
    scan, mask = volume(SCAN), volume(LABELS)
    answer = post(api, scan, mask, grid="scan")
    assert answer.status_code == 202, answer.text
    record = answer.json()
    assert (record["kind"], record["volumes"], record["progress"]["total"]) == ("translate", 1, 1)
    assert record["request"] == {
        "model": "painter",
        "source": None,
        "edges": "computed",
        "grid": "scan",
        "series": None,
        "output": {
            "format": "nii.gz",
            "dtype": "int16",
            "intensity": "stored",
            "preview": True,
            "grid": None,
            "crop": None,
        },
    }
    keys = {f"uploads/{record['id']}/{name}" for name in ("scan", "mask")}
    assert set(api.stored("uploads")) == keys
    payload = deliveries(api.queue).claim(record["id"], 1, "test").payload
    assert {payload["upload"]["key"], payload["mask"]["key"]} == keys
    assert b"".join(api.queue.results.open(payload["mask"]["key"])) == mask


def test_the_mask_is_part_of_what_an_idempotency_key_stands_for(api: Api) -> None:
    scan, mask, headers = volume(SCAN), volume(LABELS), {"Idempotency-Key": "k"}
    first = post(api, scan, mask, headers=headers).json()["id"]
    assert post(api, scan, mask, headers=headers).json()["id"] == first
    assert post(api, scan, volume(LABELS // 2), headers=headers).status_code == 422
    assert post(api, scan, headers=headers).status_code == 422


def test_an_earlier_result_can_be_translated(api: Api) -> None:
    job = api.submit()
    entries = api.finish(job, {"000.nii.gz": volume(SCAN)})
    answer = api.post("/translate", {"model": "painter", "source": {"job": job}})
    # Its record says 2x2x2, which no patch fits into; what counts is what the record says.
    assert entries[0].shape == [2, 2, 2]
    assert answer.status_code == 422
    assert "smaller than a patch" in answer.text
    assert api.post("/translate", {"model": "painter", "source": {"job": "nobody"}}).status_code == 404
    assert api.post("/translate", {"model": "painter", "source": {"seed": 1}}).status_code == 422


def test_a_generator_does_not_translate_nor_a_translator_generate(api: Api) -> None:
    problem = refused(post(api, volume(SCAN), model="tiny"), api)
    assert (problem["status"], problem["code"]) == (422, "verb_not_supported")
    assert problem["verbs"] == ["generate", "encode", "edit"]
    problem = refused(api.post("/generate", {"model": "painter"}), api)
    assert (problem["code"], problem["verbs"]) == ("verb_not_supported", ["translate"])
    assert api.http.get("/models/painter").json()["verbs"] == ["translate"]


MASK_CASES = {
    "another shape": (volume(LABELS[:-1]), "does not lie on the scan's grid"),
    "another place": (volume(LABELS, np.diag([2, 3, 4.2, 1])), "does not lie on the scan's grid"),
    "turned": (volume(LABELS, np.diag([-2, 3, 4, 1.0])), "does not lie on the scan's grid"),
    "other values": (volume(LABELS * 2), "outside the 0 to 4"),
    "negative": (volume(LABELS.astype(np.int16) - 1), "outside the 0 to 4"),
    "no volume": (b"not a volume", "not a volume of a known format"),
    "nothing": (b"", "no bytes"),
}


@pytest.mark.parametrize("case", MASK_CASES)
def test_a_mask_that_does_not_belong_to_the_scan_is_refused(api: Api, case: str) -> None:
    mask, word = MASK_CASES[case]
    problem = refused(post(api, volume(SCAN), mask), api)
    assert (problem["status"], problem["code"]) == (422, "unreadable_volume")
    (error,) = problem["errors"]
    assert error["pointer"] == "/mask"
    assert word in error["detail"]


@pytest.mark.parametrize(
    "array", [SCAN, np.full(SCAN.shape, 255.5, np.float32), np.full(SCAN.shape, np.nan, np.float32)]
)
def test_given_edges_outside_their_values_are_refused(api: Api, array: np.ndarray) -> None:
    problem = refused(post(api, volume(array), edges="given"), api)
    assert problem["code"] == "unreadable_volume"
    assert "outside the 0 to 255" in problem["errors"][0]["detail"]
    assert post(api, volume(np.clip(SCAN, 0, 255)), edges="given").status_code == 202


def test_a_scan_that_is_too_small_or_too_large_is_refused(api: Api, models: Path) -> None:
    problem = refused(post(api, volume(SCAN[:20, :20, :20])), api)
    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, "/volume")
    assert "smaller than a patch" in problem["errors"][0]["detail"]
    small = api.settings.model_copy(update={"max_job_voxels": 40_000, "port": 0, "models_url": str(models)})
    with serving(small) as other:
        problem = refused(post(other, volume(SCAN)), other)
        assert "at most 40000 voxels" in problem["errors"][0]["detail"]


@pytest.mark.parametrize(
    "fields",
    [{"edges": "none"}, {"grid": "square"}, {"seed": 1}, {"source": {"job": "x"}}, {"output": {"dtype": "f8"}}],
)
def test_a_malformed_request_is_refused(api: Api, fields: dict[str, Any]) -> None:
    assert refused(post(api, volume(SCAN), **fields), api)["status"] == 422


def test_encode_takes_no_mask(api: Api) -> None:
    parts = {"volume": volume(SCAN), "mask": volume(LABELS), "request": (None, '{"model": "tiny"}')}
    problem = refused(api.http.post("/encode", files=parts), api)  # type: ignore[arg-type]
    assert "request and volume" in problem["errors"][0]["detail"]


def test_a_mask_alone_is_no_form(api: Api) -> None:
    parts = {"mask": volume(LABELS), "request": (None, '{"model": "painter"}')}
    problem = refused(api.http.post("/translate", files=parts), api)  # type: ignore[arg-type]
    assert problem["errors"][0]["pointer"] == "/volume"
