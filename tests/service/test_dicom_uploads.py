"""DICOM series over HTTP: what is kept is a volume, and of a patient nothing, anywhere."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import json
import logging
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest

from tests.support.dicom_samples import archive, multi_frame, saved, slices, voxels
from tests.support.service_fixtures import Api, api, models  # noqa: F401
from volumes.files import read


def encode(server: Api, data: bytes, **fields: Any) -> httpx.Response:
    request = json.dumps({"model": "tiny", **fields})
    parts = {"volume": ("Planted^Patient.zip", data), "request": (None, request, "application/json")}
    return server.http.post("/encode", files=parts)


def test_a_series_is_kept_as_a_volume_and_of_its_patient_nothing(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = set(tmp_path.parent.rglob("*"))
    several = archive([*slices(), *slices(number=4, array=voxels()[:, :, :4])])
    answer = encode(api, several, series=3)
    assert answer.status_code == 202, answer.text
    stored = b"".join(api.queue.results.open(f"uploads/{answer.json()['id']}/scan"))
    kept = tmp_path / "kept.nii.gz"
    kept.write_bytes(stored)
    np.testing.assert_array_equal(read(kept).array, voxels())
    refused = encode(api, several)
    assert refused.status_code == 422
    assert refused.json()["code"] == "unreadable_volume"
    assert "3 (CT, 6 images of 7 x 5); 4 (CT, 4 images of 7 x 5)" in refused.json()["errors"][0]["detail"]
    assert encode(api, saved(multi_frame())).status_code == 202
    broken = slices()
    broken[2].PixelData = bytes(4)
    assert encode(api, archive(broken)).status_code == 422
    said = caplog.text + answer.text + refused.text + json.dumps(api.http.get("/jobs").json())
    files = [path for path in {*tmp_path.parent.rglob("*")} - before if path.is_file()]
    for planted in ("lanted^P", "PLANTED-ID"):
        assert planted not in said
        assert not [path for path in files if planted.encode() in path.read_bytes()]
        for key in api.queue.results.list("uploads"):
            assert planted.encode() not in b"".join(api.queue.results.open(key))
    assert api.services.transfers.acquire(blocking=False)
    api.services.transfers.release()


def test_an_archive_without_images_leaves_nothing(api: Api) -> None:
    before = list(api.queue.results.list("uploads"))
    answer = encode(api, archive([], **{"readme.txt": b"x"}))
    assert answer.status_code == 422
    assert "no DICOM images" in answer.text
    assert list(api.queue.results.list("uploads")) == before
