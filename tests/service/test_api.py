"""The HTTP contract on a real port: submitting, waiting, listing, deleting."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import httpx2 as httpx
import pytest

from contract.state import JobState
from jobs.settings import Settings
from service.dependencies import MAX_WAITERS
from tests.support.service_fixtures import SHORT_LEASE_S, Api, api, models, serving, until  # noqa: F401
from tests.support.sides import deliveries, scripts


def test_a_generate_is_accepted_with_its_place_and_the_seed_that_was_drawn(api: Api) -> None:
    answer = api.post("/generate", {"model": "tiny"})
    record = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{record['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert "preference-applied" not in answer.headers
    assert record["state"] == "queued"
    assert record["queue_position"] == 1
    assert 0 <= record["request"]["seed"] < 2**32
    assert api.http.get(answer.headers["location"]).json()["request"] == record["request"]
    assert deliveries(api.queue).claim(record["id"], 1, "test").payload["seed"] == record["request"]["seed"]


def test_an_accepted_request_can_be_posted_again_as_it_is(api: Api) -> None:
    for body in ({"model": "tiny"}, {"model": "tiny", "seeds": [3, 1]}, {"model": "tiny", "latents": [[0.5] * 8]}):
        accepted = api.post("/generate", body).json()["request"]
        again = api.post("/generate", accepted)
        assert again.status_code == 202
        assert again.json()["request"] == accepted


def test_prefer_wait_holds_the_answer_until_the_job_has_ended(api: Api) -> None:
    first = api.submit()

    def work() -> None:
        until(lambda: len(api.queue.list().items) == 2)
        time.sleep(0.5)  # by now the answer is held, most likely; it is the same where it is not
        second = next(r.id for r in api.queue.list().items if r.id != first)
        api.finish(second, {"000.nii.gz": b"x"})

    worker = Thread(target=work)
    worker.start()
    answer = api.post("/generate", {"model": "tiny", "seed": 2}, Prefer="respond-async, Wait=40")
    worker.join()
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=40"
    assert answer.json()["state"] == "succeeded"
    assert answer.json()["results"][0]["url"].endswith("/results/000.nii.gz")


def test_prefer_wait_gives_up_after_its_seconds(api: Api) -> None:
    answer = api.post("/generate", {"model": "tiny", "seed": 2}, Prefer="wait=1")
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.json()["state"] == "queued"


def test_a_wait_that_was_not_kept_is_not_said_to_be_applied(api: Api) -> None:
    with ExitStack() as others:
        while api.waiters.acquire(blocking=False):
            others.callback(api.waiters.release)
        answer = api.post("/generate", {"model": "tiny"}, Prefer="wait=30, priority=high")
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "priority=high"


def test_a_repeat_is_told_no_priority_that_its_job_does_not_have(api: Api) -> None:
    body, key = {"model": "tiny", "seed": 1}, {"Idempotency-Key": "k"}
    api.post("/generate", body, Prefer="priority=high", **key)
    for wish, applied in (("priority=low", None), ("wait=0", "wait=0"), ("priority=high", "priority=high")):
        again = api.post("/generate", body, Prefer=wish, **key)
        assert again.json()["priority"] == "high"
        assert again.headers.get("preference-applied") == applied


def test_a_job_that_is_removed_while_its_client_waits_was_accepted_all_the_same(api: Api) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(api.post, "/generate", {"model": "tiny"}, Prefer="wait=30")
        until(lambda: api.free_waiters() < MAX_WAITERS)
        job_id = api.queue.list().items[0].id
        api.queue.redis.delete(scripts(api.queue).key("job", job_id))
        answer = waiting.result()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/jobs/{job_id}")
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize(
    "field", ["wait", "wait=", "wait=-1", "wait=1.5", 'wait="x"', "wait=\u00b2", "=;,", "x" * 5000]
)
def test_a_preference_that_makes_no_sense_is_ignored(api: Api, field: str) -> None:
    answer = api.http.post("/generate", json={"model": "tiny"}, headers={"Prefer": field.encode()})
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


def test_twenty_parallel_posts_with_one_key_make_one_job(api: Api) -> None:
    def post(_: int) -> str:
        # A connection of its own each; patient, for the machine may be busy.
        headers = {"Idempotency-Key": "k"}
        answer = httpx.post(f"{api.http.base_url}/generate", json={"model": "tiny"}, headers=headers, timeout=60)
        return str(answer.json()["id"])

    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(post, range(20)))
    assert len(ids) == 1
    assert len(api.http.get("/jobs").json()["items"]) == 1


def test_a_key_with_another_body_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = api.post("/generate", {"model": "tiny", "seed": 1}, **headers)
    # The same request in other words is the same body.
    same = api.post("/generate", {"seed": 1, "num_samples": 1, "model": "tiny", "class_label": None}, **headers)
    other = api.post("/generate", {"model": "tiny", "seed": 2}, **headers)
    assert same.json()["id"] == first.json()["id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")


def test_an_edit_does_not_draw_a_jobs_sample_anew_under_another_truncation(api: Api) -> None:
    source = api.submit(num_samples=2)
    api.finish(source, {"000.nii.gz": b"a", "001.nii.gz": b"b"}, [{"seed": 1}, {"latent": [0.5] * 8, "space": "z"}])
    change = {"op": "interpolate", "target": {"seed": 2}, "steps": 2}
    for index, status in ((0, 422), (1, 202)):
        named = {"job": source, "index": index}
        answer = api.post("/edit", {"model": "tiny", "source": named, "edit": change, "truncation": 0.5})
        assert answer.status_code == status, answer.text
    turned = {"model": "tiny", "source": {"seed": 2}, "edit": {**change, "target": {"job": source}}, "truncation": 0.5}
    assert api.post("/edit", turned).json()["errors"][0]["pointer"] == "/truncation"


def test_a_repeat_gets_its_job_even_if_its_source_is_gone(api: Api) -> None:
    source = api.submit()
    api.finish(source, {"000.nii.gz": b"volume"})
    body = {
        "model": "tiny",
        "source": {"job": source},
        "edit": {"op": "interpolate", "target": {"seed": 2}, "steps": 2},
    }
    first = api.post("/edit", body, **{"Idempotency-Key": "k"})
    assert api.http.delete(f"/jobs/{source}").status_code == 204
    again = api.post("/edit", body, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert api.post("/edit", body).json()["code"] == "unknown_job"


def test_a_record_answers_not_modified_until_it_changes(api: Api) -> None:
    path = f"/jobs/{api.submit()}"
    tag = api.http.get(path).headers["etag"]
    assert api.http.get(path, headers={"If-None-Match": f'W/{tag}, "x"'}).status_code == 304
    api.finish(path.rpartition("/")[2])
    fresh = api.http.get(path, headers={"If-None-Match": tag})
    assert fresh.status_code == 200
    assert fresh.headers["etag"] != tag
    assert api.http.head(path).headers["etag"] == fresh.headers["etag"]


def test_a_record_is_given_only_in_the_version_that_if_match_names(api: Api) -> None:
    path = f"/jobs/{api.submit()}"
    tag = api.http.get(path).headers["etag"]
    for field, status in ((tag, 200), (f'"x", {tag}', 200), ("*", 200), ('"x"', 412), (f"W/{tag}", 412)):
        assert api.http.get(path, headers={"If-Match": field}).status_code == status, field
    both = api.http.get(path, headers={"If-Match": '"x"', "If-None-Match": tag})
    assert (both.status_code, both.json()["code"]) == (412, "precondition_failed")
    assert both.headers["content-type"] == "application/problem+json"
    assert api.http.get("/jobs/unknown", headers={"If-Match": "*"}).status_code == 404


def test_a_delete_under_an_old_etag_changes_nothing(api: Api) -> None:
    """A client that repeats its cancel does not remove what the cancel kept."""
    job_id = api.submit()
    path = f"/jobs/{job_id}"
    queued = {"If-Match": api.http.get(path).headers["etag"]}
    deliveries(api.queue).claim(job_id, 1, "test")
    late = api.http.delete(path, headers=queued)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert not deliveries(api.queue).renew(job_id, 1), "the worker hears of no cancel"
    running = {"If-Match": api.http.get(path).headers["etag"]}
    assert api.http.delete(path, headers=running).status_code == 202
    api.finish(job_id, {"000.nii.gz": b"kept"}, state=JobState.CANCELED)
    assert api.http.delete(path, headers=running).status_code == 412
    assert api.http.get(f"{path}/results/000.nii.gz").content == b"kept"
    assert api.http.delete(path, headers={"If-Match": "*"}).status_code == 204
    assert api.http.delete(path, headers={"If-Match": "*"}).status_code == 404


def test_jobs_are_paged_newest_first_and_filtered(api: Api) -> None:
    ids = [api.submit(seed=k) for k in range(5)]
    api.finish(ids[0])
    other = api.post("/generate", {"model": "tiny-ct", "seed": 1}).json()["id"]
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.http.get("/jobs", params=query).json()
        seen += [record["id"] for record in page["items"]]
        assert len(page["items"]) <= 2
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [other, *reversed(ids)]
    listed = [r["id"] for r in api.http.get("/jobs", params={"state": "succeeded", "kind": "generate"}).json()["items"]]
    assert listed == [ids[0]]
    assert [r["id"] for r in api.http.get("/jobs?model=tiny-ct").json()["items"]] == [other]
    assert api.http.get("/jobs?kind=encode").json() == {"items": [], "unreadable": [], "next_cursor": None}


def test_delete_cancels_a_queued_job_at_once(api: Api) -> None:
    path = f"/jobs/{api.submit()}"
    answer = api.http.delete(path)
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    assert api.http.get(path).json()["state"] == "canceled"


def test_delete_asks_a_running_job_to_stop(api: Api) -> None:
    job_id = api.submit()
    claim = deliveries(api.queue).claim(job_id, 1, "test")
    answer = api.http.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert deliveries(api.queue).renew(claim.id, 1), "the worker hears of it"
    deliveries(api.queue).finish(job_id, 1, JobState.CANCELED)


def test_delete_removes_a_job_that_has_ended_with_its_files(api: Api) -> None:
    job_id = api.submit()
    api.finish(job_id, {"000.nii.gz": b"data"})
    assert api.stored(f"results/{job_id}")
    answer = api.http.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.stored(f"results/{job_id}") == []
    assert api.http.get(f"/jobs/{job_id}").status_code == 404
    assert api.http.delete(f"/jobs/{job_id}").status_code == 404


def test_an_expired_job_is_gone(settings: Settings, models: Path) -> None:
    changes = {"port": 0, "models_url": str(models), "result_ttl_s": 1, "lease_s": SHORT_LEASE_S}
    with serving(settings.model_copy(update=changes)) as api:
        path = f"/jobs/{api.submit()}"
        api.finish(path.rpartition("/")[2], {"000.nii.gz": b"x"})
        until(lambda: api.http.get(path).status_code != 200)  # the front end's own reaper removes it
        answer = api.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (410, "job_expired")
        assert api.http.get(f"{path}/events").status_code == 410
        assert api.http.get(f"{path}/results/000.nii.gz").status_code == 410
        assert api.http.delete(path).status_code == 410


def test_a_full_queue_says_when_to_come_back(settings: Settings, models: Path) -> None:
    with serving(settings.model_copy(update={"port": 0, "models_url": str(models), "queue_limit": 1})) as api:
        api.submit()
        answer = api.post("/generate", {"model": "tiny"})
        assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
        assert int(answer.headers["retry-after"]) > 0
