"""Receivers of webhooks: a small HTTP server that keeps what it gets, and one that does odd things on its socket."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat


@dataclass(frozen=True)
class Got:
    """One delivery as it came."""

    path: str
    fields: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers`: a status per delivery, and 204 from then on. `headers` go with each, `before` is done before it."""

    answers: Iterator[int] = field(default_factory=lambda: iter(()))
    headers: dict[str, str] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)
    before: Callable[[], object] = lambda: None
    host: str = "127.0.0.1"
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hook?token=hidden"


@contextmanager
def receiving(*answers: int, host: str = "127.0.0.1", port: int = 0, **headers: str) -> Iterator[Receiver]:
    """Serves until the block ends."""
    receiver = Receiver(chain(answers, repeat(204)), headers, host=host)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            receiver.before()
            self.send_response(next(receiver.answers))
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer((host, port), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def odd_receiver(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where `act` is done with each connection, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                act(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
