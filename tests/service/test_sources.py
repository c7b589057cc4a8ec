"""Earlier jobs as the sources of a new one: looked at once, and not without end."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import gzip
import json
from typing import Any

import httpx2 as httpx
import nibabel
import numpy as np

from contract.fields import LatentSource
from service.admission.sources import MAX_RESOLVED_BYTES
from tests.support.service_fixtures import Api, models, shared_api  # noqa: F401
from tests.support.sides import deliveries


def fit(api: Api, sources: list[dict[str, Any]]) -> httpx.Response:
    samples = [{"source": source, "value": float(place)} for place, source in enumerate(sources)]
    body = {"method": "regression", "name": "d", "attribute": "size", "samples": samples}
    return api.post("/models/tiny/directions", body)


def job_of(api: Api, latent: list[float]) -> str:
    """A job whose one volume was made from that latent."""
    job_id = api.submit()
    api.finish(job_id, {"000.nii.gz": b"volume"}, [{"latent": latent, "space": "z"}])
    return job_id


def reads(api: Api) -> int:
    """Records that the queue's server was asked for."""
    return int(api.queue.redis.info("commandstats")["cmdstat_hmget"]["calls"])


def test_a_job_is_looked_up_once_however_often_a_request_names_it(shared_api: Api) -> None:
    length = shared_api.services.registry.card("tiny").latent.z_dim
    job_id = job_of(shared_api, [0.5] * length)
    before = reads(shared_api)
    answer = fit(shared_api, [{"job": job_id}] * 256)
    assert answer.status_code == 202, answer.text
    assert reads(shared_api) - before < 64
    (payload,) = shared_api.stored(f"uploads/{answer.json()['id']}")
    body = json.loads(b"".join(shared_api.queue.results.open(payload)))
    meant = [sample["source"] for sample in body["fit"]["samples"]]
    assert meant == [{"latent": [0.5] * length, "space": "z"}] * 256


def test_sources_that_stand_for_too_much_are_refused(shared_api: Api) -> None:
    latent = [0.123456789] * 60_000
    job_id, each = job_of(shared_api, latent), len(LatentSource(latent=latent).model_dump_json())
    allowed = MAX_RESOLVED_BYTES // each
    answer = fit(shared_api, [{"seed": 1}, *[{"job": job_id}] * (allowed + 1)])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/samples/{allowed + 1}/source"]
    assert len(answer.content) < 1000


def test_a_dicom_result_is_no_source_and_the_answer_says_what_to_do(shared_api: Api) -> None:
    job_id = shared_api.submit()
    shared_api.finish(job_id, {"000.dcm.zip": b"PK"}, [{"seed": 1}])
    source = {"job": job_id, "index": 0}
    as_grid = shared_api.post("/generate", {"model": "tiny", "seed": 1, "output": {"grid": {"like": source}}})
    for answer in (as_grid, shared_api.post("/encode", {"model": "tiny", "source": source})):
        assert answer.status_code == 422, answer.text
        assert "make it again as nii.gz" in answer.json()["errors"][0]["detail"]


def test_the_grid_of_an_earlier_result_is_spelt_out_for_the_worker(shared_api: Api) -> None:
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    file = gzip.compress(nibabel.Nifti1Image(np.zeros((8, 7, 6), np.int16), affine).to_bytes())
    job_id = shared_api.submit()
    shared_api.finish(job_id, {"000.nii.gz": file}, [{"seed": 1}])
    like = {"like": {"job": job_id, "index": 0}}
    answer = shared_api.post("/generate", {"model": "tiny", "seed": 1, "output": {"grid": like}})
    assert answer.status_code == 202, answer.text
    assert answer.json()["request"]["output"]["grid"] == like
    payload = deliveries(shared_api.queue).claim(answer.json()["id"], 1, "test").payload
    assert payload["output"]["grid"] == {"shape": [8, 7, 6], "affine": affine.tolist()}
    for grid, pointer in (({"like": {"job": "nobody"}}, None), ({"spacing_mm": [0.01, 1, 1]}, "/output/grid")):
        refused = shared_api.post("/generate", {"model": "tiny", "seed": 1, "output": {"grid": grid}})
        assert refused.status_code == (404 if pointer is None else 422), refused.text
        assert [e["pointer"] for e in refused.json().get("errors", [])] == ([pointer] if pointer else [])
