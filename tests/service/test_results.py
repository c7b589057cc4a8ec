"""Downloads: whole, by range, conditional, damaged. Event streams: order, resumption, heartbeat, end."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2 as httpx
import pytest

from contract.state import JobState
from jobs.settings import Settings
from service.endpoints import jobs
from service.http.header_fields import Span, UnsatisfiableError, accepts_tag, names_tag, span_of, wait_of
from tests.support.service_fixtures import Api, models, serving, shared_api, until  # noqa: F401
from tests.support.sides import deliveries

DATA = bytes(range(256)) * 40


@pytest.fixture
def result(shared_api: Api) -> str:
    job_id = shared_api.submit()
    shared_api.finish(job_id, {"000.nii.gz": DATA, "000.png": b"picture"})
    return f"/jobs/{job_id}/results/000.nii.gz"


def test_a_result_is_served_with_its_digest_and_name(shared_api: Api, result: str) -> None:
    answer = shared_api.http.get(result)
    record = shared_api.http.get(result.partition("/results")[0]).json()
    assert answer.content == DATA
    assert answer.headers["etag"] == f'"{record["results"][0]["sha256"]}"'
    assert answer.headers["content-disposition"] == 'attachment; filename="000.nii.gz"'
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["accept-ranges"] == "bytes"
    assert shared_api.http.get(result.replace("nii.gz", "png")).headers["content-disposition"].startswith("inline")
    assert shared_api.http.get(record["results"][0]["url"]).status_code == 200


def test_head_has_the_same_fields_and_no_body(shared_api: Api, result: str) -> None:
    head, get = shared_api.http.head(result), shared_api.http.get(result)
    assert head.content == b""
    varying = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in varying} == {
        k: v for k, v in get.headers.items() if k not in varying
    }


@pytest.mark.parametrize(
    ("field", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=5-999999", 5, None),
     ("Bytes = 3-3", 3, 4), ("bytes=-999999", 0, None)],
)  # fmt: skip
def test_a_range_is_served_in_part(shared_api: Api, result: str, field: str, start: int, end: int | None) -> None:
    answer = shared_api.http.get(result, headers={"Range": field})
    part = DATA[start:end]
    first = start if start >= 0 else len(DATA) + start
    assert answer.status_code == 206
    assert answer.content == part
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(len(part))


@pytest.mark.parametrize(
    "field",
    ["bytes=9-3", "bytes=a-b", "bytes=", "bytes=-", "items=0-1", "bytes=0-1,5-6", "bytes=--5", "bytes=+1-2",
     "bytes=" + "9" * 5000 + "-", "bytes=\u0661-\u0662", "0-9", ""],
)  # fmt: skip
def test_a_range_that_makes_no_sense_is_ignored(shared_api: Api, result: str, field: str) -> None:
    answer = shared_api.http.get(result, headers={"Range": field.encode()})
    assert (answer.status_code, answer.content) == (200, DATA)


@pytest.mark.parametrize("field", [f"bytes={len(DATA)}-", "bytes=999999999999-", "bytes=-0"])
def test_a_range_outside_the_file_is_refused(shared_api: Api, result: str, field: str) -> None:
    answer = shared_api.http.get(result, headers={"Range": field})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


def test_if_range_and_if_none_match(shared_api: Api, result: str) -> None:
    tag = shared_api.http.get(result).headers["etag"]
    part = {"Range": "bytes=0-1"}
    assert shared_api.http.get(result, headers=part | {"If-Range": tag}).status_code == 206
    assert shared_api.http.get(result, headers=part | {"If-Range": '"other"'}).status_code == 200
    assert shared_api.http.get(result, headers=part | {"If-Range": f"W/{tag}"}).status_code == 200
    assert shared_api.http.get(result, headers=part | {"If-Range": "Wed, 21 Oct 2015 07:28:00 GMT"}).status_code == 200
    for field in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        answer = shared_api.http.get(result, headers={"If-None-Match": field})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert shared_api.http.get(result, headers={"If-None-Match": '"x"'}).status_code == 200


def test_a_result_is_not_ready_before_it_is_stored_and_unknown_after_the_end(shared_api: Api) -> None:
    job_id = shared_api.submit()
    path = f"/jobs/{job_id}/results/000.nii.gz"
    answer = shared_api.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (409, "result_not_ready")
    shared_api.finish(job_id, state=JobState.FAILED)
    answer = shared_api.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_result")


@pytest.mark.fault
def test_a_damaged_or_lost_file_is_never_sent_as_sound(shared_api: Api, result: str) -> None:
    job_id, name = result.split("/")[2], result.split("/")[4]
    stored = Path(shared_api.settings.store_url.removeprefix("file://")) / "results" / job_id / name
    stored.write_bytes(DATA[:-1] + b"\x00")
    for headers in ({}, {"Range": "bytes=0-3"}):
        answer = shared_api.http.get(result, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (410, "result_damaged")
    stored.write_bytes(DATA[:-1])
    assert shared_api.http.head(result).status_code == 410
    stored.unlink()
    assert shared_api.http.get(result).json()["code"] == "result_damaged"
    assert shared_api.http.head(result).status_code == 410


@pytest.mark.fault
def test_a_damaged_or_lost_volume_is_never_encoded_as_sound(shared_api: Api) -> None:
    job_id = shared_api.submit()
    shared_api.finish(job_id, {"000.nii": DATA})
    body = {"model": "tiny", "source": {"job": job_id}}
    accepted = shared_api.post("/encode", body).json()["id"]
    assert shared_api.stored("uploads") == [f"uploads/{accepted}/scan"]
    volume = Path(shared_api.settings.store_url.removeprefix("file://")) / "results" / job_id / "000.nii"
    volume.write_bytes(DATA[:-1] + b"\x00")
    answer = shared_api.post("/encode", body)
    assert (answer.status_code, answer.json()["code"]) == (410, "result_damaged")
    volume.unlink()
    answer = shared_api.post("/encode", body)
    assert (answer.status_code, answer.json()["code"]) == (410, "result_damaged")
    assert shared_api.stored("uploads") == [f"uploads/{accepted}/scan"]


def test_a_file_that_the_manifest_does_not_name_does_not_exist(shared_api: Api, result: str) -> None:
    path = Path(shared_api.settings.store_url.removeprefix("file://")).parent / "extra"
    path.write_bytes(b"x")
    shared_api.queue.results.write(f"results/{result.split('/')[2]}/manifest.json", path)
    assert shared_api.http.get(result.replace("000.nii.gz", "manifest.json")).status_code == 404


# -- header fields on their own


def test_spans_of_an_empty_file() -> None:
    with pytest.raises(UnsatisfiableError):
        span_of("bytes=0-", None, '"t"', 0)
    assert span_of("bytes=1-2", None, '"t"', 10) == Span(1, 3)


def test_tags_in_a_list() -> None:
    assert names_tag('W/"a", "b,c" , "d"', '"b,c"')
    assert not names_tag("b", '"b"')
    assert not names_tag(None, '"b"')
    assert accepts_tag('"a", "b,c"', '"b,c"')
    assert accepts_tag(" * ", '"b"')
    assert not accepts_tag('W/"b"', '"b"')
    assert not accepts_tag("", '"b"')


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [(["wait=5"], 5),
     (["handling=lenient; x=y, wait=7"], 7), (["a", "WAIT=8"], 8), (['wait="9"'], 9), (["wait=999"], 60),
     (["wait=5, wait=9"], 5), (["wait=99999999999999999999"], 60), ([], None), (["waiting=5"], None), (["wait=0"], 0)],
)  # fmt: skip
def test_prefer_wait(fields: list[str], seconds: int | None) -> None:
    assert wait_of(fields) == seconds


# -- events


def events(server: Api, job_id: str, after: str | None = None) -> Iterator[tuple[str, str, Any]]:
    headers = {"Last-Event-ID": after} if after else {}
    with server.http.stream("GET", f"/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for block in "".join(answer.iter_text()).split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                yield fields["id"], fields["event"], json.loads(fields["data"])


def test_events_tell_a_job_from_start_to_end(shared_api: Api) -> None:
    job_id = shared_api.submit()
    deliveries(shared_api.queue).claim(job_id, 1, "test")
    deliveries(shared_api.queue).progress(job_id, 1, "forward", 1, 2)
    shared_api.finish(job_id, {"000.nii.gz": b"x"})
    told = list(events(shared_api, job_id))
    assert told[0][1] == "state"
    assert "progress" in [kind for _, kind, _ in told]
    assert told[-1][1] == "end"
    assert told[-1][2] == shared_api.http.get(f"/jobs/{job_id}").json()


def test_events_resume_after_the_last_one_seen_and_stop_a_browser_at_the_end(shared_api: Api) -> None:
    job_id = shared_api.submit()
    shared_api.finish(job_id)
    told = list(events(shared_api, job_id))
    assert list(events(shared_api, job_id, told[0][0])) == told[1:]
    assert list(events(shared_api, job_id, "not-an-id")) == told
    at, number = told[-1][0].split("-")
    for seen in (told[-1][0], f"{at}-{int(number) + 1}", f"{int(at) * 10}-0"):
        last = shared_api.http.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": seen})
        assert (last.status_code, last.content) == (204, b""), seen


def test_events_arrive_as_they_happen_and_silence_is_broken(shared_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "HEARTBEAT_S", 0.5)
    job_id = shared_api.submit()
    lines: list[str] = []

    def listen() -> None:
        with httpx.stream("GET", f"{shared_api.http.base_url}/jobs/{job_id}/events", timeout=60) as answer:
            for line in answer.iter_lines():
                lines.append(line)
                if line.startswith(": heartbeat") and lines.count(": heartbeat") == 1:
                    shared_api.finish(job_id)

    thread = Thread(target=listen)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert ": heartbeat" in lines
    assert "event: end" in lines


def test_an_event_stream_ends_in_good_order_when_the_server_stops(
    settings: Settings, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        with serving(settings.model_copy(update={"port": 0, "models_url": str(models)})) as api:
            path = f"{api.http.base_url}/jobs/{api.submit()}/events"
            lines = stack.enter_context(httpx.stream("GET", path, timeout=60)).iter_lines()
            assert next(lines).startswith("id: ")
        assert "event: end" not in list(lines)
    assert "Traceback" not in caplog.text


def test_a_listener_that_left_gives_its_place_back(shared_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "HEARTBEAT_S", 0.3)
    job_id = shared_api.submit()
    places = shared_api.free_places()
    for _ in range(3):
        with shared_api.http.stream("GET", f"/jobs/{job_id}/events") as answer:
            next(answer.iter_lines())
    until(lambda: shared_api.free_places() == places)
