"""Bad requests, one row each: the status and code they get, never a 500, never their own words back."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import json
import re
from typing import Any

import httpx2 as httpx
import pytest

from service.http.body import MAX_JSON_BYTES
from service.http.errors import STATUS
from service.main import main
from tests.service.test_uploads import open_files
from tests.support.service_fixtures import Api, models, shared_api, until  # noqa: F401
from tests.volumes.test_refusals import BROKEN

TITLES = {cls.code: cls.title for cls in STATUS}
SECRET = "Zx9secretZx9"
JSON = {"Content-Type": "application/json"}
OK = {"model": "tiny"}
SEED = {"seed": 1}


def raw(body: bytes | str, content_type: str = "application/json", **headers: str) -> dict[str, Any]:
    return {"content": body, "headers": {"Content-Type": content_type, **headers}}


def generate(**fields: Any) -> dict[str, Any]:
    return raw(json.dumps(OK | fields))


def edit(source: Any = SEED, change: Any = None, **fields: Any) -> dict[str, Any]:
    move = {"op": "move", "direction": "shipped-one", "strengths": [1]}
    return raw(json.dumps(OK | {"source": source, "edit": change or move} | fields))


def form(*parts: tuple[str, bytes], boundary: str = "B", end: bytes = b"--B--\r\n") -> dict[str, Any]:
    body = b"".join(f"--B\r\n{head}\r\n\r\n".encode("latin-1") + data + b"\r\n" for head, data in parts) + end
    return raw(body, f"multipart/form-data; boundary={boundary}")


def part(name: str, extra: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{extra}'


ENCODE = json.dumps(OK).encode()
VOLUME = part("volume", '; filename="scan.nii"')
REQUEST = part("request")

# name: (method, path, options, status, code, pointer of the first error or None)
Row = tuple[str, str, dict[str, Any], int, str, str | None]
ROWS: dict[str, Row] = {
    # -- not JSON as the contract takes it
    "nan": ("POST", "/generate", raw('{"model": "tiny", "seed": NaN}'), 422, "invalid_request", ""),
    "infinity": ("POST", "/generate", raw('{"model":"tiny","truncation":-Infinity}'), 422, "invalid_request", ""),
    "overflow": ("POST", "/generate", raw('{"model":"tiny","truncation":1e999}'), 422, "invalid_request", ""),
    "int digits": ("POST", "/generate", raw('{"model":"tiny","seed":' + "9" * 5000 + "}"), 422, "invalid_request", ""),
    "lone surrogate": ("POST", "/generate", raw('{"model": "\\ud800"}'), 422, "invalid_request", ""),
    "surrogate key": ("POST", "/generate", raw('{"model":"tiny","\\udfff":1}'), 422, "invalid_request", ""),
    "surrogate bytes": ("POST", "/generate", raw(b'{"model":"\xed\xa0\x80"}'), 422, "invalid_request", ""),
    "not utf-8": ("POST", "/generate", raw(b'{"model":"\xff"}'), 422, "invalid_request", ""),
    "utf-16": ("POST", "/generate", raw(json.dumps(OK).encode("utf-16")), 422, "invalid_request", ""),
    "utf-32": ("POST", "/generate", raw(json.dumps(OK).encode("utf-32-le")), 422, "invalid_request", ""),
    "two byte order marks": ("POST", "/generate", raw(b"\xef\xbb\xbf" * 2 + ENCODE), 422, "invalid_request", ""),
    "duplicate key": ("POST", "/generate", raw('{"model":"tiny","seed":1,"seed":2}'), 422, "invalid_request", ""),
    "trailing data": ("POST", "/generate", raw('{"model":"tiny"} x'), 422, "invalid_request", ""),
    "two values": ("POST", "/generate", raw('{"model":"tiny"}{"model":"tiny"}'), 422, "invalid_request", ""),
    "trailing comma": ("POST", "/generate", raw('{"model":"tiny",}'), 422, "invalid_request", ""),
    "single quotes": ("POST", "/generate", raw("{'model':'tiny'}"), 422, "invalid_request", ""),
    "raw newline": ("POST", "/generate", raw('{"model":"ti\nny"}'), 422, "invalid_request", ""),
    "open string": ("POST", "/generate", raw('{"model":"tiny'), 422, "invalid_request", ""),
    "empty": ("POST", "/generate", raw(""), 422, "invalid_request", ""),
    "nul": ("POST", "/generate", raw("\0"), 422, "invalid_request", ""),
    "deep arrays": ("POST", "/generate", raw("[" * 100_000), 422, "invalid_request", ""),
    "deep closed": ("POST", "/generate", raw("[" * 5000 + "]" * 5000), 422, "invalid_request", ""),
    "deep objects": ("POST", "/generate", raw('{"a":' * 9000 + "1" + "}" * 9000), 422, "invalid_request", ""),
    "quotes": ("POST", "/generate", raw('"' + '\\"' * 400_000), 422, "invalid_request", ""),
    "array": ("POST", "/generate", raw("[]"), 422, "invalid_request", ""),
    "null": ("POST", "/generate", raw("null"), 422, "invalid_request", ""),
    "number": ("POST", "/generate", raw("5"), 422, "invalid_request", ""),
    "too large": ("POST", "/generate", raw(b'{"model":"' + b"x" * MAX_JSON_BYTES + b'"}'), 413,
                  "upload_too_large", None),
    "form": ("POST", "/generate", raw("model=tiny", "application/x-www-form-urlencoded"), 415,
             "unsupported_media_type", None),
    "text": ("POST", "/generate", raw(ENCODE, "text/plain"), 415, "unsupported_media_type", None),
    "no type": ("POST", "/generate", {"content": ENCODE}, 415, "unsupported_media_type", None),
    "charset": ("POST", "/generate", raw(ENCODE, "application/json; charset=utf-16"), 415,
                "unsupported_media_type", None),
    "compressed": ("POST", "/generate", raw(ENCODE, **{"Content-Encoding": "gzip"}), 415,
                   "unsupported_media_type", None),
    # -- JSON that is no GenerateRequest
    "no model": ("POST", "/generate", raw("{}"), 422, "invalid_request", "/model"),
    "unknown field": ("POST", "/generate", generate(sed=1), 422, "invalid_request", "/sed"),
    "hostile field": ("POST", "/generate", raw('{"model":"tiny","' + SECRET + '<b>":1}'), 422, "invalid_request", ""),
    "string seed": ("POST", "/generate", generate(seed="5"), 422, "invalid_request", "/seed"),
    "true seed": ("POST", "/generate", generate(seed=True), 422, "invalid_request", "/seed"),
    "float seed": ("POST", "/generate", generate(seed=1.0), 422, "invalid_request", "/seed"),
    "negative seed": ("POST", "/generate", generate(seed=-1), 422, "invalid_request", "/seed"),
    "huge seed": ("POST", "/generate", generate(seed=2**53), 422, "invalid_request", "/seed"),
    "giant seed": ("POST", "/generate", generate(seed=10**300), 422, "invalid_request", "/seed"),
    "no samples": ("POST", "/generate", generate(num_samples=0), 422, "invalid_request", "/num_samples"),
    "many samples": ("POST", "/generate", generate(num_samples=65), 422, "invalid_request", "/num_samples"),
    "two origins": ("POST", "/generate", generate(seed=1, seeds=[1]), 422, "invalid_request", ""),
    "no seeds": ("POST", "/generate", generate(seeds=[]), 422, "invalid_request", "/seeds"),
    "seed in seeds": ("POST", "/generate", generate(seeds=[1, "2"]), 422, "invalid_request", "/seeds/1"),
    "sample mismatch": ("POST", "/generate", generate(seeds=[1, 2], num_samples=3), 422, "invalid_request", ""),
    "short latent": ("POST", "/generate", generate(latents=[[0.0] * 7]), 422, "invalid_request", "/latents/0"),
    "nested latent": ("POST", "/generate", generate(latents=[[[0.0] * 8]]), 422, "invalid_request", "/latents/0"),
    "latent of text": ("POST", "/generate", generate(latents=[["x"] * 8]), 422, "invalid_request", "/latents/0/0"),
    "latent object": ("POST", "/generate", generate(latents=[{"a": 1}]), 422, "invalid_request", "/latents/0"),
    "latent beyond float32": ("POST", "/generate", generate(latents=[[0.0] * 7 + [-3.5e38]]), 422, "invalid_request",
                              "/latents/0/7"),
    "style beyond float32": ("POST", "/generate", generate(latents=[[[0.0, 1e300]]], latent_space="w"), 422,
                             "invalid_request", None),
    "noise of a network without": ("POST", "/generate", generate(noise="random"), 422, "invalid_request", "/noise"),
    "style space": ("POST", "/generate", generate(latents=[[0.0] * 8], latent_space="w"), 422, "invalid_request",
                    "/latents/0"),
    "latent space": ("POST", "/generate", generate(latent_space="q"), 422, "invalid_request", "/latent_space"),
    "truncation": ("POST", "/generate", generate(truncation=-1), 422, "invalid_request", "/truncation"),
    "truncation 0": ("POST", "/generate", generate(truncation=0), 422, "invalid_request", "/truncation"),
    "class given": ("POST", "/generate", generate(class_label=0), 422, "invalid_request", "/class_label"),
    "class missing": ("POST", "/generate", generate(model="tiny-classes"), 422, "invalid_request", "/class_label"),
    "class unknown": ("POST", "/generate", generate(model="tiny-classes", class_label=SECRET), 422, "invalid_request",
                      "/class_label"),
    "class index": ("POST", "/generate", generate(model="tiny-classes", class_label=2), 422, "invalid_request",
                    "/class_label"),
    "class object": ("POST", "/generate", generate(class_label={"a": 1}), 422, "invalid_request", "/class_label"),
    "format": ("POST", "/generate", generate(output={"format": SECRET}), 422, "invalid_request", "/output/format"),
    "output field": ("POST", "/generate", generate(output={"x": 1}), 422, "invalid_request", "/output/x"),
    "output type": ("POST", "/generate", generate(output=[]), 422, "invalid_request", "/output"),
    "model unknown": ("POST", "/generate", generate(model=SECRET.lower()), 404, "unknown_model", None),
    "model path": ("POST", "/generate", generate(model="../" + SECRET), 422, "invalid_request", "/model"),
    "model newline": ("POST", "/generate", generate(model="tiny\n"), 422, "invalid_request", "/model"),
    "model long": ("POST", "/generate", generate(model="x" * 65), 422, "invalid_request", "/model"),
    "model null": ("POST", "/generate", generate(model=None), 422, "invalid_request", "/model"),
    "model broken": ("POST", "/generate", generate(model="tiny-broken"), 409, "model_broken", None),
    # -- header fields
    "empty key": ("POST", "/generate", raw(ENCODE, **{"Idempotency-Key": ""}), 422, "invalid_request",
                  "/header/idempotency-key"),
    "long key": ("POST", "/generate", raw(ENCODE, **{"Idempotency-Key": "k" * 256}), 422, "invalid_request",
                 "/header/idempotency-key"),
    "spaced key": ("POST", "/generate", raw(ENCODE, **{"Idempotency-Key": SECRET + " b"}), 422, "invalid_request",
                   "/header/idempotency-key"),
    "large header": ("GET", "/models", {"headers": {"X-Large": SECRET * 2000}}, 431, "headers_too_large", None),
    # -- edits
    "no source": ("POST", "/edit", raw('{"model":"tiny","edit":{"op":"move"}}'), 422, "invalid_request", None),
    "empty source": ("POST", "/edit", edit(source={}), 422, "invalid_request", "/source"),
    "source kind": ("POST", "/edit", edit(source={"url": SECRET}), 422, "invalid_request", "/source"),
    "source text": ("POST", "/edit", edit(source=SECRET), 422, "invalid_request", "/source"),
    "two sources": ("POST", "/edit", edit(source={"seed": 1, "latent": [1]}), 422, "invalid_request", "/source/latent"),
    "source seed": ("POST", "/edit", edit(source={"seed": -1}), 422, "invalid_request", "/source/seed"),
    "source index": ("POST", "/edit", edit(source={"job": "x", "index": -1}), 422, "invalid_request", "/source/index"),
    "source latent": ("POST", "/edit", edit(source={"latent": [1.0]}), 422, "invalid_request", "/source/latent"),
    "source beyond float32": ("POST", "/edit", edit(source={"latent": [3.5e38] + [0.0] * 7}), 422, "invalid_request",
                              "/source/latent/0"),
    "strength beyond float32": ("POST", "/edit", edit(change={"op": "move", "direction": "shipped-one",
                                                              "strengths": [1, -1e39]}), 422, "invalid_request",
                                "/edit/strengths/1"),
    "value beyond float32": ("POST", "/edit", edit(change={"op": "target", "direction": "shipped-one",
                                                           "values": [1e39]}), 422, "invalid_request",
                             "/edit/values/0"),
    "noise of an edit without": ("POST", "/edit", edit(noise="random", noise_seed=1), 422, "invalid_request",
                                 "/noise"),
    "source job": ("POST", "/edit", edit(source={"job": SECRET.lower()}), 404, "unknown_job", None),
    "op": ("POST", "/edit", edit(change={"op": SECRET}), 422, "invalid_request", "/edit"),
    "no op": ("POST", "/edit", edit(change={"x": SECRET}), 422, "invalid_request", "/edit"),
    "mix": ("POST", "/edit", edit(change={"op": "mix", "target": SEED, "crossover": 1}), 422, "invalid_request",
            "/edit/op"),
    "steps": ("POST", "/edit", edit(change={"op": "interpolate", "target": SEED, "steps": 1}), 422, "invalid_request",
              "/edit/steps"),
    "no strengths": ("POST", "/edit", edit(change={"op": "move", "direction": "shipped-one"}), 422, "invalid_request",
                     "/edit/strengths"),
    "direction": ("POST", "/edit", edit(change={"op": "move", "direction": SECRET.lower(), "strengths": [1]}), 404,
                  "unknown_direction", None),
    # -- encodes
    "encode text": ("POST", "/encode", raw(ENCODE, "text/plain"), 415, "unsupported_media_type", None),
    "encode nothing": ("POST", "/encode", raw(ENCODE), 422, "invalid_request", "/source"),
    "encode latent": ("POST", "/encode", raw(json.dumps(OK | {"source": {"latent": [1.0]}})), 422, "invalid_request",
                      "/source/latent"),
    "encode unknown": ("POST", "/encode", raw(json.dumps(OK | {"source": {"job": "nope"}})), 404, "unknown_job", None),
    "no boundary": ("POST", "/encode", raw(b"--B--", "multipart/form-data"), 422, "invalid_request", ""),
    "long boundary": ("POST", "/encode", raw(b"--B--", "multipart/form-data; boundary=" + "b" * 5000), 422,
                      "invalid_request", ""),
    "other boundary": ("POST", "/encode", form((VOLUME, b"x"), boundary="C"), 422, "invalid_request", ""),
    "empty form": ("POST", "/encode", form(), 422, "invalid_request", None),
    "empty body": ("POST", "/encode", raw(b"", "multipart/form-data; boundary=B"), 422, "invalid_request", ""),
    "no volume": ("POST", "/encode", form((REQUEST, ENCODE)), 422, "invalid_request", "/volume"),
    "no request": ("POST", "/encode", form((VOLUME, b"x")), 422, "invalid_request", "/request"),
    "other part": ("POST", "/encode", form((part(SECRET), b"x")), 422, "invalid_request", ""),
    "nameless part": ("POST", "/encode", form(("Content-Disposition: form-data", b"x")), 422, "invalid_request", ""),
    "no disposition": ("POST", "/encode", form(("X-Y: z", b"x")), 422, "invalid_request", ""),
    "bad part head": ("POST", "/encode", form(("no colon at all", b"x")), 422, "invalid_request", ""),
    "three volumes": ("POST", "/encode", form(*[(VOLUME, b"x")] * 3), 422, "invalid_request", "/volume"),
    "two of no volume": ("POST", "/encode", form((REQUEST, ENCODE), (VOLUME, b"x"), (VOLUME, b"y")), 422,
                         "unreadable_volume", "/volume"),
    "two requests": ("POST", "/encode", form((REQUEST, ENCODE), (REQUEST, ENCODE)), 422, "invalid_request",
                     "/request"),
    "cut form": ("POST", "/encode", form((REQUEST, ENCODE), (VOLUME, b"x"), end=b""), 422, "invalid_request", ""),
    "empty volume": ("POST", "/encode", form((REQUEST, ENCODE), (VOLUME, b"")), 422, "unreadable_volume", "/volume"),
    "no volume at all": ("POST", "/encode", form((REQUEST, ENCODE), (VOLUME, SECRET.encode())), 422,
                         "unreadable_volume", "/volume"),
    "cut gzip": ("POST", "/encode", form((REQUEST, ENCODE), (VOLUME, b"\x1f\x8b\x08\x00")), 422, "unreadable_volume",
                 "/volume"),
    "hostile name": ("POST", "/encode", form((REQUEST, ENCODE), (part("volume", f'; filename="../{SECRET}\t"'), b"x")),
                     422, "unreadable_volume", "/volume"),
    "form nan": ("POST", "/encode", form((REQUEST, b'{"model":NaN}'), (VOLUME, b"x")), 422, "invalid_request", ""),
    "form and source": ("POST", "/encode", form((REQUEST, b'{"model":"tiny","source":{"job":"j"}}'), (VOLUME, b"x")),
                        422, "invalid_request", "/source"),
    "large request": ("POST", "/encode", form((REQUEST, b"x" * (MAX_JSON_BYTES + 1)), (VOLUME, b"x")), 413,
                      "upload_too_large", None),
    "large upload": ("POST", "/encode", form((REQUEST, ENCODE), (VOLUME, b"x" * (3 * 2**20))), 413,
                     "upload_too_large", None),
    # -- addresses and methods
    "no route": ("GET", f"/{SECRET}", {}, 404, "not_found", None),
    "slash": ("GET", "/jobs//", {}, 404, "not_found", None),
    "two slashes": ("POST", "/generate//", raw(ENCODE), 404, "not_found", None),
    "put": ("PUT", "/jobs", {}, 405, "method_not_allowed", None),
    "get generate": ("GET", "/generate", {}, 405, "method_not_allowed", None),
    "long address": ("GET", "/jobs/" + SECRET * 500, {}, 414, "address_too_long", None),
    "job": ("GET", f"/jobs/{SECRET.lower()}", {}, 404, "unknown_job", None),
    "job id": ("GET", f"/jobs/{SECRET}", {}, 404, "unknown_job", None),
    "long job id": ("DELETE", "/jobs/" + "x" * 500, {}, 404, "unknown_job", None),
    "odd job id": ("GET", "/jobs/%00%ff%0d%0a", {}, 404, "unknown_job", None),
    "dotted job id": ("GET", "/jobs/..%2e", {}, 404, "unknown_job", None),
    "events": ("GET", "/jobs/nope/events", {"headers": {"Last-Event-ID": "\x07"}}, 404, "unknown_job", None),
    "result": ("GET", f"/jobs/nope/results/{SECRET}", {}, 404, "unknown_job", None),
    "result path": ("GET", "/jobs/nope/results/..%2f..%2fetc%2fpasswd", {}, 404, "not_found", None),
    "state": ("GET", f"/jobs?state={SECRET}", {}, 422, "invalid_request", "/query/state"),
    "kind": ("GET", f"/jobs?kind={SECRET}", {}, 422, "invalid_request", "/query/kind"),
    "limit": ("GET", "/jobs?limit=0", {}, 422, "invalid_request", "/query/limit"),
    "limit text": ("GET", f"/jobs?limit={SECRET}", {}, 422, "invalid_request", "/query/limit"),
    "limit digits": ("GET", "/jobs?limit=" + "9" * 4000, {}, 422, "invalid_request", "/query/limit"),
    "cursor": ("GET", f"/jobs?cursor={SECRET}", {}, 422, "invalid_request", None),
    "long cursor": ("GET", "/jobs?cursor=" + "1" * 65, {}, 422, "invalid_request", "/query/cursor"),
    "cursor digits": ("GET", "/jobs?cursor=\u0661", {}, 422, "invalid_request", None),
    "two states": ("GET", "/jobs?state=queued&state=running", {}, 422, "invalid_request", "/query/state"),
    "query field": ("GET", "/jobs?status=queued", {}, 422, "invalid_request", "/query/status"),
    "hostile query": ("GET", f"/jobs?{SECRET}%3Cb%3E=1", {}, 422, "invalid_request", "/query"),
    # -- models and directions
    "model": ("GET", f"/models/{SECRET.lower()}", {}, 404, "unknown_model", None),
    "model name": ("GET", f"/models/..%2e{SECRET}", {}, 404, "unknown_model", None),
    "directions of none": ("GET", "/models/nope/directions", {}, 404, "unknown_model", None),
    "directions of broken": ("GET", "/models/tiny-broken/directions", {}, 409, "model_broken", None),
    "direction name": ("GET", f"/models/tiny/directions/{SECRET}", {}, 404, "unknown_direction", None),
    "delete direction": ("DELETE", "/models/tiny/directions/nope", {}, 404, "unknown_direction", None),
    "delete shipped": ("DELETE", "/models/tiny/directions/shipped-one", {}, 409, "direction_shipped", None),
    "fit method": ("POST", "/models/tiny/directions", raw('{"method":"x"}'), 422, "invalid_request", ""),
    "fit nothing": ("POST", "/models/tiny/directions", raw("{}"), 422, "invalid_request", ""),
    "fit count": ("POST", "/models/tiny/directions", raw('{"method":"sefa","name_prefix":"p","count":9}'), 422,
                  "invalid_request", "/count"),
    "fit of nothing": ("POST", "/models/tiny/directions", raw('{"method":"regression","name":"n","attribute":"a"}'),
                       422, "invalid_request", ""),
    "fit taken": ("POST", "/models/tiny/directions", raw(
        '{"method":"regression","name":"shipped-one","attribute":"a","measure":{"name":"mean_intensity"}}'), 409,
        "direction_exists", None),
    "fit sample": ("POST", "/models/tiny/directions", raw(json.dumps(
        {"method": "regression", "name": "n", "attribute": "a",
         "samples": [{"source": SEED, "value": 1.0}] * 3 + [{"source": {"latent": [1.0]}, "value": 1}]})), 422,
        "invalid_request", "/samples/3/source/latent"),
    "fit none": ("POST", "/models/nope/directions", raw('{"method":"sefa","name_prefix":"p"}'), 404,
                 "unknown_model", None),
}  # fmt: skip


def assert_problem(answer: httpx.Response, status: int, code: str, pointer: str | None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "instance", "code"} <= set(problem)
    assert (problem["status"], problem["code"], problem["title"]) == (status, code, TITLES[code])
    assert problem["instance"].endswith(answer.headers["x-request-id"])
    assert ("errors" in problem) == (status == 422)
    if status == 422:
        assert all(set(error) == {"pointer", "detail"} for error in problem["errors"])
        assert problem["errors"]
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer
    assert SECRET.lower() not in (answer.text + str(answer.headers)).lower(), "a rejected value came back"
    assert "Error" not in answer.text
    assert "/tmp" not in answer.text


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_request_gets_its_answer_and_leaves_nothing(shared_api: Api, name: str) -> None:
    method, path, options, status, code, pointer = ROWS[name]
    answer = shared_api.http.request(method, path, **options)
    assert_problem(answer, status, code, pointer)
    assert shared_api.stored("uploads") == []
    assert shared_api.http.get("/jobs").json()["items"] == []
    assert shared_api.http.get("/healthz").status_code == 200, "the same connection still answers"


def test_every_broken_file_is_refused_and_leaves_nothing(shared_api: Api) -> None:
    """The files of tests/volumes/test_refusals.py, as uploads."""
    shared_api.http.get("/healthz")
    before = open_files()
    for name, (data, reason) in BROKEN.items():
        answer = shared_api.http.request("POST", "/encode", **form((REQUEST, ENCODE), (VOLUME, data)))
        if len(data) > shared_api.services.settings.max_upload_bytes:
            assert_problem(answer, 413, "upload_too_large", None)
            continue
        assert_problem(answer, 422, "unreadable_volume", "/volume")
        if data:
            assert re.search(reason, answer.json()["errors"][0]["detail"]), name
    assert shared_api.stored("uploads") == []
    assert shared_api.http.get("/jobs").json()["items"] == []
    until(lambda: open_files() <= before)


def test_the_tables_are_long() -> None:
    assert len(ROWS) >= 150
    assert len(BROKEN) >= 80


def test_hundreds_of_bad_requests_left_no_trace(shared_api: Api) -> None:
    assert 'status="500"' not in shared_api.http.get("/metrics").text


def test_a_conditional_model_names_its_classes(shared_api: Api) -> None:
    answer = shared_api.post("/generate", {"model": "tiny-classes"})
    assert "healthy, severe" in answer.json()["errors"][0]["detail"]


def test_a_wrong_method_is_told_the_right_ones(shared_api: Api) -> None:
    assert shared_api.http.put("/jobs/x").headers["allow"] == "DELETE, GET, HEAD"
    assert shared_api.http.delete("/generate").headers["allow"] == "POST"


def test_a_hostile_request_id_is_replaced(shared_api: Api) -> None:
    assert shared_api.http.get("/healthz", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    for hostile in ("a b", "x" * 65, "<b>", ""):
        answer = shared_api.http.get("/healthz", headers={"X-Request-ID": hostile})
        assert answer.headers["x-request-id"] != hostile


def test_an_over_long_list_of_errors_is_cut(shared_api: Api) -> None:
    answer = shared_api.post("/generate", {"model": "tiny", "seeds": ["x"] * 60})
    assert 1 <= len(answer.json()["errors"]) <= 20


@pytest.mark.parametrize(("name", "value"), [("PORT", "abc"), ("LEASE_S", SECRET), ("STORE_URL", f"ftp://{SECRET}")])
def test_a_setting_that_makes_no_sense_ends_the_process_with_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"VOXELSMITH_{name}", value)
    with pytest.raises(SystemExit) as end:
        main()
    line = str(end.value)
    assert line.startswith(f"voxelsmith api: VOXELSMITH_{name}: ")
    assert "\n" not in line
    assert SECRET not in line
