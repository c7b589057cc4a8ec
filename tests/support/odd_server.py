"""A server that answers what ours should not, and a proxy that lets nothing through but what it is asked for."""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answers = Callable[[str], tuple[int, bytes]]
"""From the path of a GET to status and body."""


@contextmanager
def answering(
    answers: Answers, fields: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """The port of a server on loopback that answers each GET, with `fields` in the head."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers(self.path)
            self.send_response(status)
            for name, value in (fields or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        with _served(server):
            yield server.server_port


@contextmanager
def tunnelling(port: int, asked: list[str]) -> Iterator[int]:
    """The port of a proxy that answers each CONNECT by a tunnel to `port` of loopback, and notes what was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            with socket.create_connection(("127.0.0.1", port)) as there:
                self.send_response(200)
                self.end_headers()
                _carry(self.connection, there)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _served(server):
        yield server.server_port


@contextmanager
def _served(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways, until one side is closed."""
    while True:
        for source in select.select([one, other], [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)
