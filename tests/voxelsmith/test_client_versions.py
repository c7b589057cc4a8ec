"""A server of another version, and the ways to a server that the environment prescribes."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import asyncio
import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.version import software_version
from tests.support.odd_server import answering, tunnelling
from tests.support.service_fixtures import Api, api, models  # noqa: F401
from voxelsmith import AsyncClient, Client, problems
from voxelsmith.http.versions import who_is_old

PROBLEM = b'{"detail": "There is nothing at this address.", "code": "not_found"}'
Ask = Callable[[str, str], Any]


def ask(url: str, model: str) -> Any:
    with Client(url) as c:
        return c.model(model)


def ask_awaited(url: str, model: str) -> Any:
    async def course() -> Any:
        async with AsyncClient(url) as c:
            return await c.model(model)

    return asyncio.run(course())


both = pytest.mark.parametrize("ask", [ask, ask_awaited])


# -- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "theirs", "words"),
    [
        ("0.2.0", "0.1.9", "the server is of version 0.1 and older than this client of 0.2.0: update the server"),
        ("0.9.0", "0.10.0", "this client is of version 0.9.0 and older than the server of 0.10: update the client"),
        ("0.2.0", None, "does not say its version"),
        ("0.2.0", "0.2.7", None),
        ("unknown", "0.2.7", None),
        ("0.2.0", "next", None),
    ],
)
def test_the_older_side_is_named(own: str, theirs: str | None, words: str | None) -> None:
    said = who_is_old(own, theirs)
    assert (said is None) == (words is None)
    assert words is None or words in str(said)


@both
def test_a_refusal_of_another_version_says_who_is_old(ask: Ask) -> None:
    fields = {"voxelsmith-version": "99.0.1"}
    with answering(lambda _path: (404, PROBLEM), fields) as port, pytest.raises(problems.NotFound) as caught:
        ask(f"http://127.0.0.1:{port}", "tiny")
    assert str(caught.value).startswith("There is nothing at this address.; this client is of version ")
    assert "older than the server of 99.0" in str(caught.value)
    assert caught.value.detail == "There is nothing at this address."


@both
@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"id": 1}'[:3]])
def test_an_answer_that_is_none_is_a_sentence(ask: Ask, body: bytes) -> None:
    with answering(lambda _path: (200, body)) as port, pytest.raises(problems.UnreadableAnswer, match="not Voxelsmith"):
        ask(f"http://127.0.0.1:{port}", "tiny")


def test_records_and_lists_of_another_shape_are_a_sentence() -> None:
    newer = answering(lambda _path: (200, b'{"things": []}'), {"Voxelsmith-Version": "99.0.0"})
    with newer as port, Client(f"http://127.0.0.1:{port}") as c:
        for call in (c.models, lambda: list(c.jobs()), lambda: c.job("a")):
            with pytest.raises(problems.UnreadableAnswer, match="update the client"):
                call()


def test_our_server_says_its_version_with_every_answer(api: Api) -> None:
    with Client(f"http://127.0.0.1:{api.port}") as c:
        assert c.server_version is None
        c.models()
        assert c.server_version == software_version()
        with pytest.raises(problems.NotFound) as caught:
            c.model("none")
        assert "version" not in str(caught.value)
    assert api.http.get("/jobs/none").headers["Voxelsmith-Version"] == software_version()


# -- proxies and certificates ----------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of the host voxelsmith.invalid, by itself, with its key in the same file."""
    path = tmp_path / "own.pem"
    subject = ["-subj", "/CN=voxelsmith.invalid", "-addext", "subjectAltName=DNS:voxelsmith.invalid"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", path, "-out", tmp_path / "c.pem"], check=True, capture_output=True, timeout=60)
    path.write_text(path.read_text() + (tmp_path / "c.pem").read_text())
    return path


@both
def test_https_goes_through_the_proxy_and_trusts_the_certificates_of_the_environment(
    ask: Ask, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    asked: list[str] = []
    card = json.dumps({"name": "tiny"}).encode()
    with answering(lambda _path: (200, card), tls=tls) as port, tunnelling(port, asked) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
        with pytest.raises(problems.ServerUnreachable, match="certificate"):
            ask("https://voxelsmith.invalid", "tiny")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert ask("https://voxelsmith.invalid", "tiny") == {"name": "tiny"}
        assert asked == ["voxelsmith.invalid:443"] * len(asked)
        seen = len(asked)
        monkeypatch.setenv("NO_PROXY", "voxelsmith.invalid")
        with pytest.raises(problems.ServerUnreachable):
            ask("https://voxelsmith.invalid", "tiny")
        assert len(asked) == seen >= 2


@both
def test_a_file_of_certificates_that_is_not_there_is_one_clear_error(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(problems.BadAddress, match="SSL_CERT_FILE"):
        ask("https://voxelsmith.invalid", "tiny")
