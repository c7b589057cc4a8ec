"""What bodies and records take of memory: the front end's while they are read, the queue's while they are kept."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import contextlib
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.errors import InvalidRequest, QuotaExceeded, TooManyTransfers
from contract.requests import GenerateRequest
from contract.state import JobState, Manifest, ResultFile
from jobs.queue import JobQueue
from jobs.quota import Charge
from jobs.settings import Settings
from jobs.submission import Submission, new_id
from service.admission.payloads import kept
from service.http import strict_json
from service.http.strict_json import parse
from tests.support.service_fixtures import Api, api, models, write_direction  # noqa: F401
from tests.support.sides import deliveries, scripts
from workers.supervisor import Supervisor

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]
Z_DIM = 8
Play = Callable[..., contextlib.AbstractContextManager[Supervisor]]
LENGTH = 3_900_000
UNKNOWN = b",".join(b'"%06d":1' % k for k in range(LENGTH // 11))
BODIES = {
    "unknown keys": b'{"model":"a",' + UNKNOWN + b"}",
    "unknown keys within": b'{"model":"a","output":{' + UNKNOWN + b"}}",
    "objects": b'{"model":"a","seeds":[' + b"{}," * (LENGTH // 3) + b"1]}",
    "lists": b'{"model":"a","latents":[' + b"[]," * (LENGTH // 3) + b"[1]]}",
    "strings": b'{"model":"a","seeds":[' + b'"ab",' * (LENGTH // 5) + b"1]}",
    "lists of lists": b'{"model":"a","latents":[' + b'[["a"]],' * (LENGTH // 8) + b"[1]]}",
    "wrong numbers": b'{"model":"a","seeds":[' + b"-1," * (LENGTH // 3) + b"1]}",
    "numbers": b'{"model":"a","latents":[[' + b"0.1," * (LENGTH // 4) + b"1]]}",
    "wrong numbers in rows": b'{"model":"a","latents":[' + b"[-1e99]," * 16_000 + b"[1]]}",
    "as much as is read": b'{"model":"a","seeds":[' + b'{"a":1},' * 32_000 + b"1]}",
    "one string": b'{"model":"' + b"a" * LENGTH + b'"}',
    "escapes": b'{"model":"' + b"\\u00e9" * (LENGTH // 6) + b'"}',
    "quotes": b'{"model":"' + b'\\"' * (LENGTH // 2) + b'"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_refusing_a_body_takes_little_time_and_memory(name: str) -> None:
    """Of the interpreter's memory; a body of a million numbers is the dearest that is read at all."""
    took_s = spent_s(lambda: refuse(BODIES[name]))
    tracemalloc.start()
    refuse(BODIES[name])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took_s < 2.5
    assert peak_bytes < (120e6 if name == "numbers" else 40e6)


def refuse(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(GenerateRequest, body)
    assert 1 <= len(refused.value.errors) <= 20


def test_few_large_bodies_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "PATIENCE_S", 0.05)
    taken = [strict_json._TURNS.acquire() for _ in range(2)]
    try:
        with pytest.raises(TooManyTransfers):
            parse(GenerateRequest, BODIES["numbers"])
        assert parse(GenerateRequest, b'{"model": "a"}').model == "a"
    finally:
        for _ in taken:
            strict_json._TURNS.release()


def spent_s(step: Callable[[], object]) -> float:
    """Of this process' time, which the server in a thread of it spends too."""
    began = time.process_time()
    step()
    return time.process_time() - began


def test_a_fit_that_names_thousands_of_jobs_takes_little_of_the_queues_memory(api: Api, play: Play) -> None:
    source = api.submit()
    api.finish(source, {"000.nii.gz": b"x"}, latents=[{"latent": [0.123456789] * Z_DIM, "space": "z"}])
    samples = [{"source": {"job": source}, "value": float(k)} for k in range(4096)]
    body = {"method": "regression", "name": "large", "attribute": "a", "samples": samples}
    answer = api.post("/models/tiny/directions", body)
    assert answer.status_code == 202, answer.text
    job = scripts(api.queue).key("job", answer.json()["id"])
    assert api.queue.redis.hstrlen(job, "payload") < 1000
    (stored,) = api.stored(f"uploads/{answer.json()['id']}")
    assert api.queue.results.size(stored) > 500_000
    assert len(json.loads(b"".join(api.queue.results.open(stored)))["fit"]["samples"]) == 4096
    api.http.delete(f"/jobs/{answer.json()['id']}")
    assert api.stored("uploads") == []


@pytest.mark.parametrize("is_sound", [True, False])
def test_a_stored_request_is_run_or_told_to_be_damaged(
    queue: JobQueue, play: Play, tmp_path: Path, is_sound: bool
) -> None:
    job_id = new_id()
    with kept({"model": "tiny", "acts": ["step"] * 5000}, job_id, queue) as run:
        assert len(json.dumps(run.payload)) < 1000
        queue.submit(Submission("generate", "tiny", "a" * 64, {}, run.payload, "d" * 64, job_id=job_id))
    if not is_sound:
        next((tmp_path / "store").rglob("payload.json")).write_bytes(b"{}")
    with play(lease_s=10.0):
        record = queue.wait(job_id, 60)
    assert record.state is (JobState.SUCCEEDED if is_sound else JobState.FAILED)
    assert (record.error.code if record.error else None) == (None if is_sound else "job_failed")
    assert queue.results.list("uploads") == []


def test_a_stored_request_goes_with_a_submit_that_fails(queue: JobQueue) -> None:
    with pytest.raises(QuotaExceeded), kept({"acts": ["step"] * 5000}, new_id(), queue):
        raise QuotaExceeded("x")
    assert queue.results.list("uploads") == []


def test_records_are_charged_as_memory_until_they_are_gone(queue: JobQueue, settings: Settings) -> None:
    small = JobQueue(queue.redis, settings.model_copy(update={"key_max_memory_bytes": 100_000, "lease_s": 60.0}))
    ids = []

    def post(numbers: int) -> None:
        request = {"latents": [[0.5] * numbers]}
        ids.append(
            small.submit(Submission("generate", "tiny", "a" * 64, request, {}, "d" * 64, charge=Charge("alice"))).id
        )

    def memory() -> int:
        return int(queue.redis.hget(scripts(queue).key("memory"), "alice") or 0)

    post(10)
    assert memory() == 0  # what every record has is nobody's
    post(10_000)
    assert 40_000 < memory() < 60_000
    with pytest.raises(QuotaExceeded, match="memory"):
        post(15_000)
    result = ResultFile(name="a", index=0, media_type="x/y", size_bytes=1, sha256="0" * 64, shape=[1, 1, 1])
    large = result.model_copy(update={"latent": {"latent": [0.25] * 15_000, "space": "z"}})
    deliveries(small).claim(ids[0], 1, "w")
    deliveries(small).keep(ids[0], 1, Manifest(results=[large]), large)
    assert memory() > 100_000
    assert all(event.body.data.find(b"0.25") < 0 for event in queue.events.read({ids[0]: "0"}, 0.1)[ids[0]])
    with pytest.raises(QuotaExceeded, match="memory"):
        deliveries(small).reserve(ids[0], 1, 10)
    deliveries(small).finish(ids[0], 1, JobState.SUCCEEDED, Manifest(results=[large]))
    assert memory() > 100_000
    small.cancel(ids[1])
    for job_id in ids:
        small.remove(job_id)
    assert memory() == 0


def test_an_edit_does_not_repeat_large_latents_without_end(api: Api) -> None:
    source = {"latent": [[0.123456789] * 60_000], "space": "w"}
    edit = {"op": "move", "direction": "shipped-one", "strengths": [0.1] * 64}
    answer = api.post("/edit", {"model": "tiny", "source": source, "edit": edit})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/edit/strengths")
