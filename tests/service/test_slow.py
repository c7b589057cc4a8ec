"""Clients that take their time: with a head, with a body, with an answer. And what is no HTTP at all."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.settings import Settings
from service import main
from service.http import body
from service.http.body import _patience_s
from service.http.descriptors import Budget
from service.http.timeouts import PatientProtocol
from tests.service.test_uploads import open_files
from tests.support.service_fixtures import LEASE_S, Api, api, models, serving, until  # noqa: F401

HEAD = b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Hasty(PatientProtocol):
    head_s = reading_s = 0.5


@pytest.fixture
def hasty(settings: Settings, models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A front end that gives a head half a second, and an answer too."""
    monkeypatch.setattr(main, "PatientProtocol", Hasty)
    with serving(settings.model_copy(update={"port": 0, "models_url": str(models), "lease_s": LEASE_S})) as running:
        yield running


def rest_of(line: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(65536):
            received += piece
    return received


def drip(line: socket.socket, data: bytes, pause_s: float, limit_s: float) -> float:
    """Sends single bytes until the server is tired of it; how long that took."""
    began = time.monotonic()
    with contextlib.suppress(OSError):
        for byte in data:
            line.sendall(bytes([byte]))
            if time.monotonic() - began > limit_s:
                break
            time.sleep(pause_s)
    return time.monotonic() - began


@pytest.mark.fault
def test_a_head_that_does_not_end_is_given_up(hasty: Api) -> None:
    for first in (b"", b"GET /", HEAD, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /x"):
        with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as line:
            line.sendall(first)
            began = time.monotonic()
            answer = rest_of(line)
            assert time.monotonic() - began < 9
            if b"healthz" not in first:  # after an answer the connection just ends, as an idle one does
                assert b" 408 " in answer
                assert b'"code": "request_timeout"' in answer


@pytest.mark.fault
def test_a_head_that_drips_is_given_up(hasty: Api) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as line:
        assert drip(line, b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 2000, 0.05, 9) < 8


def test_a_refused_body_is_not_listened_to_for_ever(hasty: Api) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=10) as line:
        line.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        assert b" 404 " in line.recv(1000)
        assert drip(line, b"x" * 2000, 0.05, 9) < 8


@pytest.mark.fault
def test_many_slow_heads_keep_nobody_out(hasty: Api) -> None:
    hasty.http.get("/healthz")
    before = open_files()
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", hasty.port), timeout=10))
            line.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert hasty.http.get("/healthz").status_code == 200
        until(lambda: open_files() <= before + 200 + 5)
    until(lambda: open_files() <= before + 2)


@pytest.mark.fault
def test_a_client_that_takes_nothing_is_given_up(hasty: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = hasty.submit()
    hasty.finish(job_id, {"000.nii.gz": b"\0" * 30_000_000})
    before = open_files()
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=60) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(f"GET /jobs/{job_id}/results/000.nii.gz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        line.recv(10)
        until(lambda: open_files() <= before + 1)
    monkeypatch.setattr(Hasty, "reading_s", 60.0)  # a busy machine may stop this client for half a second too
    assert hasty.http.get(f"/jobs/{job_id}/results/000.nii.gz").content == b"\0" * 30_000_000


def test_a_steady_reader_gets_it_all(hasty: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower in all than the deadline, which counts from when nothing is taken."""
    monkeypatch.setattr(Hasty, "reading_s", 3.0)  # long enough for a busy machine to take something in it
    job_id = hasty.submit()
    hasty.finish(job_id, {"000.nii.gz": b"\1" * 4_000_000})
    with hasty.http.stream("GET", f"/jobs/{job_id}/results/000.nii.gz") as answer:
        size = 0
        for piece in answer.iter_bytes(100_000):
            size += len(piece)
            time.sleep(0.1)
    assert size == 4_000_000


def test_a_request_that_outlasts_the_end_of_the_server_is_to_be_repeated(
    settings: Settings, models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(main, "GRACE_S", 0.2)
    with contextlib.ExitStack() as stack:
        with serving(settings.model_copy(update={"port": 0, "models_url": str(models)})) as api:
            line = stack.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=60))
            line.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n")
            assert line.recv(1000).startswith(b"HTTP/1.1 100 ")
        answer = rest_of(line)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: " in answer
    assert b'"code": "not_ready"' in answer
    assert "Traceback" not in caplog.text


@pytest.mark.fault
def test_an_upload_that_drips_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "PATIENCE_S", 0.5)
    head = b"POST /encode HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
    start = b'--B\r\nContent-Disposition: form-data; name="volume"\r\n\r\n'
    before = open_files()
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as line:
        line.sendall(head + b"Content-Length: 100000\r\n\r\n" + start)
        line.setblocking(True)
        began = time.monotonic()
        for _ in range(200):
            line.sendall(b"x")
            time.sleep(0.05)
            line.settimeout(0.001)
            with contextlib.suppress(TimeoutError):
                assert b" 408 " in line.recv(1000)
                break
        assert time.monotonic() - began < 8
    assert api.stored("uploads") == []
    until(lambda: open_files() <= before)


def test_patience_grows_with_what_has_come_and_ends_with_the_limit() -> None:
    assert _patience_s(0, 0, 3600) == 30
    assert _patience_s(0, 29, 3600) == 1
    assert _patience_s(8192 * 100, 29, 3600) == 30
    assert _patience_s(8192 * 100, 131, 3600) < 0
    assert _patience_s(10**9, 3599, 3600) == 1


NO_HTTP = [
    *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n", b"\0\r\n\r\n", b"GET\r\n\r\n"),
    *(b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    *(b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000),
    *(HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", HEAD + b"Content-Length: -1\r\n\r\n"),
    *(HEAD + b"Transfer-Encoding: gzip\r\n\r\n", HEAD + b"Content-Length: 9" + b"9" * 40 + b"\r\n\r\n{}"),
    *(HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}"),
    *(
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nZZ\r\n",
]


def test_what_is_no_http_is_refused_without_a_traceback(hasty: Api, caplog: pytest.LogCaptureFixture) -> None:
    for raw in NO_HTTP:
        with caplog.at_level(logging.INFO), socket.create_connection(("127.0.0.1", hasty.port), timeout=60) as line:
            with contextlib.suppress(OSError):
                line.sendall(raw)
            answer = rest_of(line)
            assert int(answer[9:12] or b"400") in (400, 404, 408, 413, 415, 421), (raw[:80], answer)
    until(lambda: hasty.http.get("/healthz").status_code == 200)
    assert "Traceback" not in caplog.text
    assert "Exception" not in caplog.text
    assert 'status="500"' not in hasty.http.get("/metrics").text


def test_no_more_connections_are_taken_than_there_are_files_for(
    settings: Settings, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "budget", lambda *_: Budget(connections=20, transfers=20))
    with serving(settings.model_copy(update={"port": 0, "models_url": str(models)})) as api:
        address = ("127.0.0.1", api.port)
        with contextlib.ExitStack() as stack:
            lines = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(40)]
            answer = rest_of(lines[-1])
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code": "too_many_connections"' in answer
        until(lambda: api.http.get("/healthz").status_code == 200)
