"""GET / and /assets: the page as it was built, and what stands there where it was not."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import gzip
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.keys import ApiKeys, Scope
from jobs.settings import Settings
from service.endpoints.page import choose
from tests.support.processes import ValkeyProcess
from tests.support.service_fixtures import Api, models, serving, shared_api  # noqa: F401

SCRIPT = b"console.log('made by a test');\n" * 40
INDEX = b'<!doctype html><title>Voxelsmith</title><script type="module" src="./assets/page-abc.js"></script>'


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page as the build leaves it, beside a file that is nobody's."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "static" / "assets").mkdir(parents=True)
    (folder / "secret.js").write_text("secret")
    (folder / "static" / "index.html").write_bytes(INDEX)
    (folder / "static" / "assets" / "page-abc.js").write_bytes(SCRIPT)
    (folder / "static" / "assets" / "page-abc.js.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / "static" / "assets" / "page-abc.js.br").write_bytes(b"brotli, as a browser would know")
    (folder / "static" / "assets" / "icon-1.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "static" / "assets" / "notes.unknown").write_text("not of the page")
    return folder / "static"


@pytest.fixture(scope="module")
def built(
    valkey: ValkeyProcess, models: Path, page_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    with serving(settings_for(valkey, models, tmp_path_factory.mktemp("built")), page_folder) as running:
        yield running


def settings_for(valkey: ValkeyProcess, models: Path, folder: Path) -> Settings:
    return Settings(
        port=0,
        redis_url=valkey.url,  # type: ignore[arg-type]
        store_url=f"file://{folder}/store",
        models_url=str(models),
        queue_prefix=f"t{uuid.uuid4().hex[:8]}",
    )


def plain(api: Api, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, header fields and the body as it travelled."""
    with api.http.stream("GET", path, headers={"Accept-Encoding": "identity"} | headers) as answer:
        return answer.status_code, dict(answer.headers), b"".join(answer.iter_raw())


# -- built -----------------------------------------------------------------------------------------------------------


def test_the_page_is_asked_for_each_time_and_its_assets_once(built: Api) -> None:
    status, headers, body = plain(built, "/")
    assert (status, body) == (200, INDEX)
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    status, headers, body = plain(built, "/assets/page-abc.js")
    assert (status, body) == (200, SCRIPT)
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["vary"] == "Accept-Encoding"
    assert plain(built, "/assets/icon-1.svg")[1]["content-type"] == "image/svg+xml"


def test_the_page_runs_its_own_script_and_nothing_else(built: Api) -> None:
    policy = dict(part.split(" ", 1) for part in plain(built, "/")[1]["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not {"'unsafe-inline'", "'unsafe-eval'"} & set(" ".join(policy.values()).split())
    assert "default-src 'none'" in plain(built, "/assets/page-abc.js")[1]["content-security-policy"]
    assert "script-src" not in plain(built, "/models")[1]["content-security-policy"]


def test_a_browser_that_has_the_file_is_told_so(built: Api) -> None:
    for path in ("/", "/assets/page-abc.js"):
        tag = plain(built, path)[1]["etag"]
        status, headers, body = plain(built, path, **{"If-None-Match": f'"other", {tag}'})
        assert (status, headers["etag"], body) == (304, tag, b"")
        assert plain(built, path, **{"If-None-Match": '"other"'})[0] == 200


def test_files_travel_compressed_where_the_browser_wants_it(built: Api) -> None:
    tags = {plain(built, "/assets/page-abc.js")[1]["etag"]}
    for accepted, coding, made in (("gzip, deflate, br", "br", b"brotli"), ("gzip;q=0.5", "gzip", b"\x1f\x8b")):
        status, headers, body = plain(built, "/assets/page-abc.js", **{"Accept-Encoding": accepted})
        assert (status, headers["content-encoding"]) == (200, coding)
        assert headers["content-type"].startswith("text/javascript")
        assert body.startswith(made)
        tags.add(headers["etag"])
    assert len(tags) == 3, "another coding is another representation"
    assert "content-encoding" not in plain(built, "/", **{"Accept-Encoding": "br"})[1], "it has no twin"


@pytest.mark.parametrize(
    ("field", "coding"),
    [(None, ""), ("", ""), ("gzip", "gzip"), ("GZIP", "gzip"), ("br;q=0, gzip", "gzip"), ("*", "br"), ("*;q=0", ""),
     ("br;q=0, *", "gzip"), ("identity", ""), ("br;q=x", ""), (";;,,q", ""), ("gzip;q=0.000", "")],
)  # fmt: skip
def test_the_coding_is_one_that_the_client_takes(field: str | None, coding: str) -> None:
    assert choose(field, {"br": b"", "gzip": b"", "": b""}) == coding


def test_head_says_what_get_would(built: Api) -> None:
    for path in ("/", "/assets/page-abc.js"):
        head = built.http.head(path, headers={"Accept-Encoding": "identity"})
        status, headers, body = plain(built, path)
        assert (head.status_code, head.content) == (status, b"")
        assert head.headers["content-length"] == str(len(body))
        assert head.headers["etag"] == headers["etag"]


@pytest.mark.parametrize(
    "path",
    ["/assets/none.js", "/assets/", "/assets", "/assets/notes.unknown", "/assets/page-abc.js.gz",
     "/assets/../index.html", "/assets/..%2f..%2fsecret.js", "/assets/%2e%2e/%2e%2e/secret.js",
     "/assets/..%5c..%5csecret.js", "/assets/%00", "/assets//etc/passwd", "/static/index.html", "/index.html/"],
)  # fmt: skip
def test_what_is_not_of_the_page_is_a_problem(built: Api, path: str) -> None:
    answer = built.http.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert "secret" not in answer.text


def test_the_page_is_read_only(built: Api) -> None:
    for path in ("/", "/assets/page-abc.js"):
        assert built.http.post(path).status_code == 405


def test_the_page_is_no_call_of_the_schema(built: Api) -> None:
    paths = built.http.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/assets")]


# -- not built -------------------------------------------------------------------------------------------------------


def test_without_a_built_page_a_plain_one_explains(
    valkey: ValkeyProcess, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bare")
    with serving(settings_for(valkey, models, folder), folder / "static") as api:
        page = api.http.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "not built" in page.text
        assert "make web" in page.text
        assert "/docs" in page.text
        assert not re.search(r"<script|(src|href)=.(https?:)?//", page.text), "it needs nothing from elsewhere"
        assert "script-src" not in page.headers["content-security-policy"]
        assert api.http.head("/").status_code == 200
        missing = api.http.get("/assets/page-abc.js")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_the_page_asks_for_the_key_itself(
    valkey: ValkeyProcess, models: Path, page_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = settings_for(valkey, models, tmp_path_factory.mktemp("keyed"))
    with serving(settings, page_folder) as api:
        ApiKeys(api.queue.redis, settings).create("somebody", {Scope.JOBS})
        assert api.http.get("/jobs").status_code == 401
        for path in ("/", "/assets/page-abc.js"):
            assert api.http.get(path).status_code == 200


def test_the_page_and_the_docs_are_there_either_way(shared_api: Api) -> None:
    page = shared_api.http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(src|href)=.(https?:)?//", page.text), "the page needs nothing from elsewhere"
    assert shared_api.http.get("/docs").status_code == 200
