"""Requests that two servers would cut apart differently: refused, and nothing after them is served."""
# ruff: noqa: F811 -- fixtures are imported and then asked for by name

import socket

import pytest

from tests.support.service_fixtures import Api, models, shared_api  # noqa: F401

HEAD = b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SECOND = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"X: " + b"y" * 20_000 + b"\r\n"


def all_of(api: Api, raw: bytes) -> bytes:
    """What comes until the server closes the connection, which it does by itself and at once."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=4) as line:
        line.sendall(raw)
        received = b""
        while piece := line.recv(65536):
            received += piece
    return received


@pytest.mark.parametrize(
    "doubtful",
    [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nConnection: keep-alive\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
        HEAD + LARGE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_request_of_doubtful_length_ends_its_connection(shared_api: Api, doubtful: bytes) -> None:
    answer = all_of(shared_api, doubtful + SECOND)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_refused_request_of_certain_length_keeps_its_connection(shared_api: Api) -> None:
    with socket.create_connection(("127.0.0.1", shared_api.port), timeout=60) as line:
        line.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde" + SECOND)
        received = b""
        while b'"ok"' not in received:
            received += line.recv(65536)
    assert received.startswith(b"HTTP/1.1 404 ")
    assert received.count(b"HTTP/1.1 ") == 2
