"""The service under a path: with and without the path before its calls, and what its answers then name."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.settings import OWN_PATHS, Settings
from service.app import create_app
from tests.support.service_fixtures import Api, models, serving  # noqa: F401

PREFIX = "/user/me/voxelsmith"


@pytest.fixture
def api(settings: Settings, models: Path) -> Iterator[Api]:
    with serving(settings.model_copy(update={"port": 0, "models_url": str(models), "root_path": PREFIX})) as running:
        yield running


def test_calls_are_answered_with_and_without_the_prefix(api: Api) -> None:
    for path in ("/models", "/models/", "/", "/docs"):
        for prefix in ("", PREFIX):
            assert api.http.get(prefix + path).status_code == 200, prefix + path
    assert api.http.get(f"{PREFIX}{PREFIX}/models").status_code == 404
    assert api.http.get(f"{PREFIX}models").status_code == 404


def test_the_bare_prefix_leads_to_the_page(api: Api) -> None:
    answer = api.http.get(PREFIX, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, f"{PREFIX}/")
    assert "content-security-policy" in answer.headers


def test_a_job_is_located_under_the_prefix(api: Api) -> None:
    for prefix in ("", PREFIX):
        answer = api.http.post(f"{prefix}/generate", json={"model": "tiny", "seed": 1})
        assert answer.headers["location"] == f"{PREFIX}/jobs/{answer.json()['id']}"
        assert api.http.get(answer.headers["location"]).json()["id"] == answer.json()["id"]
    assert api.http.get("/openapi.json").json()["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize("path", ["user", "/a b", "/a//b", "/../etc", "/a?b", "https://h/a", "/./a"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="must be a path"):
        Settings(root_path=path)


def test_a_slash_at_the_end_makes_no_difference() -> None:
    assert [Settings(root_path=path).root_path for path in ("/", "/a/", "/a/b")] == ["", "/a", "/a/b"]


def test_a_path_of_the_services_own_is_no_prefix(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="a path of the service's own"):
        Settings(root_path="/jobs/here")
    told = {path.split("/")[1] for path in create_app(settings).openapi()["paths"]}
    assert (told | {"assets", "docs", "openapi.json"}) - {""} == OWN_PATHS
