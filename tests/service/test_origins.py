"""What a browser may do here: names, origins, and the headers that every answer has."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import re
from pathlib import Path

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.keys import ApiKeys, Scope
from jobs.settings import Settings
from service.http.origins import host_name
from tests.support.service_fixtures import Api, models, serving, shared_api  # noqa: F401

BODY = {"model": "tiny", "seed": 1}
HOSTILE = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:80", "[::1", "a@127.0.0.1",
           "127.0.0.1:x", "127.1.evil", "192.168.0.7", "0.0.0.0", "[::]", "localhost@evil.example"]  # fmt: skip


def test_without_keys_only_names_of_this_machine_are_served(shared_api: Api) -> None:
    for host in ("127.0.0.1", "localhost", "LocalHost:99", f"127.0.0.1:{shared_api.port}", "[::1]:8000", "127.9.9.9"):
        assert shared_api.http.get("/jobs", headers={"Host": host}).status_code == 200, host
    for host in HOSTILE:
        for method, path in (("GET", "/jobs"), ("POST", "/generate"), ("GET", "/"), ("GET", "/nothing")):
            answer = shared_api.http.request(method, path, headers={"Host": host})
            assert (answer.status_code, answer.json()["code"]) == (421, "host_not_served"), host
            assert "evil" not in answer.text


def test_configured_hosts_are_served_and_keys_make_the_name_unimportant(settings: Settings, models: Path) -> None:
    changes = {"port": 0, "models_url": str(models), "allowed_hosts": "scans.example, Other.example"}
    with serving(settings.model_copy(update=changes)) as api:
        for host in ("scans.example", "SCANS.example:8000", "other.example."):
            assert api.http.get("/models", headers={"Host": host}).status_code == 200
        assert api.http.get("/models", headers={"Host": "evil.example"}).status_code == 421
        _, token = ApiKeys(api.queue.redis, settings).create("a", {Scope.JOBS})
        headers = {"Host": "any.example", "Authorization": f"Bearer {token}"}
        assert api.http.get("/models", headers=headers).status_code == 200
        assert api.http.get("/models", headers={"Host": "any.example"}).status_code == 401


@examples(max_examples=400, derandomize=True, deadline=None)
@given(st.text(alphabet="127.0:[]@/?#\\ \tlocalhostevil%\xff", max_size=30))
def test_any_host_field_is_a_name_or_none(field: str) -> None:
    name = host_name(field)
    assert name is None or not set(name) & set("/?#@\\ ")


def post(api: Api, **headers: str) -> httpx.Response:
    return api.post("/generate", BODY, **headers)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://localhost.evil.example",
        "",
        "127.0.0.1",
        "http://[::1",
    ],
)
def test_pages_of_other_sites_change_nothing(shared_api: Api, origin: str) -> None:
    for method, path in (("POST", "/generate"), ("POST", "/encode"), ("DELETE", "/jobs/x"), ("PUT", "/jobs/x")):
        answer = shared_api.http.request(method, path, headers={"Origin": origin, "Content-Type": "text/plain"})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin"), origin
    answer = shared_api.http.get("/jobs", headers={"Origin": origin})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert shared_api.http.options("/generate", headers=asked).status_code == 405
    assert shared_api.http.get("/jobs").json()["items"] == []


def test_our_own_page_may_post_also_behind_a_proxy(shared_api: Api) -> None:
    url = f"http://127.0.0.1:{shared_api.port}"
    for headers in ({"Origin": url}, {"Origin": "https://localhost", "Host": "localhost"}, {}):
        job_id = post(shared_api, **headers).json()["id"]
        assert shared_api.http.delete(f"/jobs/{job_id}").status_code == 200
        assert shared_api.http.delete(f"/jobs/{job_id}", headers={"Origin": url}).status_code == 204


def test_allowed_origins_may_call_with_a_key(settings: Settings, models: Path) -> None:
    viewer = "https://viewer.example"
    changes = {"port": 0, "models_url": str(models), "cors_origins": f"{viewer}, http://localhost:3000"}
    with serving(settings.model_copy(update=changes)) as api:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        allowed = api.http.options("/generate", headers={"Origin": viewer, **asked})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == viewer
        assert "access-control-allow-credentials" not in allowed.headers
        answer = post(api, Origin=viewer)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (202, viewer)
        assert {"Location", "Preference-Applied"} <= set(answer.headers["access-control-expose-headers"].split(", "))
        refused = api.http.options("/generate", headers={"Origin": "https://evil.example", **asked})
        assert "access-control-allow-origin" not in refused.headers
        assert post(api, Origin="https://evil.example").status_code == 403


@pytest.mark.parametrize(
    "fields",
    [{"cors_origins": "*"}, {"cors_origins": "https://a.example/"}, {"cors_origins": "null"}, {"allowed_hosts": "*"},
     {"allowed_hosts": "a.example:80"}, {"allowed_hosts": "https://a.example"}, {"cors_origins": "https://A.example"}],
)  # fmt: skip
def test_what_no_browser_says_is_no_setting(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="commas"):
        Settings(**fields)  # type: ignore[arg-type]


def test_every_answer_says_what_a_browser_may_do_with_it(shared_api: Api) -> None:
    for path in ("/", "/docs", "/models", "/jobs/nothing", "/nothing", "/healthz"):
        headers = shared_api.http.get(path).headers
        policy = headers.get_list("content-security-policy")
        assert len(policy) == 1, path
        assert "default-src 'none'" in policy[0]
        assert "frame-ancestors 'none'" in policy[0]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_docs_show_every_call_and_load_nothing(shared_api: Api) -> None:
    page = shared_api.http.get("/docs").text
    schema = shared_api.http.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method in methods:
            assert f"<b>{method.upper()}</b> {path}</summary>" in page
    for name in schema["components"]["schemas"]:
        assert f'id="{name}"' in page
    assert not re.search(r"<(script|img|link|iframe|form)|(src|href)=.?(https?:)?//|@import|url\(", page)
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(re.findall(r'id="([^"]+)"', page))
