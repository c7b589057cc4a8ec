"""What some clients do a little otherwise, and mean no harm by."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import json

import pytest

from tests.support.service_fixtures import Api, api, models  # noqa: F401

BODY = json.dumps({"model": "tiny", "seed": 1}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", ["/generate/", "/generate/?x=1"])
def test_a_slash_at_the_end_changes_nothing(api: Api, path: str) -> None:
    answer = api.http.post(path, content=BODY, headers=JSON)
    assert answer.status_code == 202, answer.text
    job = answer.json()["id"]
    assert answer.headers["location"] == f"/jobs/{job}"
    assert api.http.get(f"/jobs/{job}/").json()["id"] == job
    assert api.http.delete(f"/jobs/{job}/").status_code == 200
    assert [card["name"] for card in api.http.get("/models/").json()["items"]]


def test_the_page_and_an_encoded_slash_stay_what_they_are(api: Api) -> None:
    assert api.http.get("/").headers["content-type"].startswith("text/html")
    for path in ("/generate%2F", "/generate//"):
        assert api.http.post(path, content=BODY, headers=JSON).status_code == 404
    assert api.http.get("//").status_code in (200, 404)


def test_json_may_begin_with_a_mark_of_utf_8(api: Api) -> None:
    answer = api.http.post("/generate", content=b"\xef\xbb\xbf" + BODY, headers=JSON)
    assert answer.status_code == 202, answer.text
    twice = api.http.post("/generate", content=b"\xef\xbb\xbf" * 2 + BODY, headers=JSON)
    assert twice.status_code == 422
    pointed = api.http.post("/generate", content=b'\xef\xbb\xbf{"model": "tiny", "seed": "x"}', headers=JSON)
    assert pointed.json()["errors"][0]["pointer"] == "/seed"
