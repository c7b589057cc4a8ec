"""An S3 server over HTTP (moto's), buckets of it, and a gate before it that can be shut or lead nowhere."""

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx2 as httpx
import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import from_url

import jobs.results.bucket
from jobs.results.store import ResultStore

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_REGION": "eu-north-1",
               "AWS_ALLOW_HTTP": "true"}  # fmt: skip


class Gate:
    """A TCP port before a server. `state`: open; shut, as if the server were dead; hole: answers nothing."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.state: Literal["open", "shut", "hole"] = "open"
        self._lines: list[socket.socket] = []
        self._turning = threading.Lock()  # held while a connection finds the state, so that none outlives it
        threading.Thread(target=self._accept, daemon=True).start()

    def turn(self, state: Literal["open", "shut", "hole"]) -> None:
        """Breaks what goes through; new connections find the new state."""
        with self._turning:
            self.state = state
            lines, self._lines = self._lines, []
        _end(*lines)

    def close(self) -> None:
        self.turn("shut")
        _end(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._turning:
                self._take(client)

    def _take(self, client: socket.socket) -> None:
        if self.state == "shut":
            _end(client)
            return
        self._lines.append(client)
        if self.state == "open":
            server = socket.create_connection(self._server)
            self._lines.append(server)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
    _end(source, target)


def _end(*lines: socket.socket) -> None:
    for line in lines:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        line.close()


@dataclass
class S3:
    """One bucket and the gate before its server. The environment of this process leads to it."""

    name: str
    gate: Gate
    direct: str
    """The server's own address, past the gate."""
    environment: dict[str, str]
    """For other processes."""

    @property
    def url(self) -> str:
        return f"s3://{self.name}/some/where"

    def put(self, key: str, data: bytes) -> None:
        """Behind everybody's back."""
        obstore.put(self._past_the_gate(), key, data)

    def get(self, key: str) -> bytes:
        return bytes(obstore.get(self._past_the_gate(), key).bytes())

    def _past_the_gate(self) -> Any:
        return from_url(self.url, config={"endpoint": self.direct}, client_options={"allow_http": True})

    def store(self) -> ResultStore:
        return ResultStore(self.url)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextlib.contextmanager
def new_bucket(server: str) -> Iterator[S3]:
    name, region = f"b{uuid.uuid4().hex}", ENVIRONMENT["AWS_REGION"]
    place = f"<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    # The first call makes the server load most of what it is.
    httpx.put(f"{server}/{name}", content=place, timeout=60).raise_for_status()
    gate = Gate(int(server.rpartition(":")[2]))
    environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gate.port}"}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        yield S3(name, gate, server, environment)
    gate.close()


@pytest.fixture
def s3(s3_server: str) -> Iterator[S3]:
    with new_bucket(s3_server) as bucket:
        yield bucket


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Time limits of a fraction of a second, for tests in which they run out."""
    changed = {"_CALL_CLIENT": {"connect_timeout": "200ms", "timeout": "300ms"},
               "_BYTES_CLIENT": {"connect_timeout": "200ms", "read_timeout": "300ms", "timeout": "1h"}}  # fmt: skip
    for name, value in changed.items():
        monkeypatch.setattr(jobs.results.bucket, name, value)
    return changed
