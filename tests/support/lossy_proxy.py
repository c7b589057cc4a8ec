"""A proxy before a Valkey that loses a reply: the server has done what it was asked, the client never hears of it."""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path


class LossyProxy:
    """Listens on a Unix socket; each connection is two threads. `lose` says what to lose, once."""

    def __init__(self, path: Path, server: Path) -> None:
        self.url = f"unix://{path}"
        self.lost = threading.Event()
        """A reply was lost since `lose` was called last."""
        self._server = server
        self._pattern, self._skip = b"", 0
        self._meanwhile: Callable[[], object] = _nothing
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._lines: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lose(self, pattern: bytes = b"", nth: int = 1, meanwhile: Callable[[], object] | None = None) -> None:
        """From now on the reply to the `nth` request that contains the pattern is lost, and its connection breaks.

        `meanwhile` happens after the server has done what it was asked, and before the client can notice anything.
        """
        with self._lock:
            self.lost.clear()
            self._pattern, self._skip = pattern, nth
            self._meanwhile = meanwhile or _nothing

    def close(self) -> None:
        """Ends all connections and threads."""
        for line in (self._listener, *self._lines):
            _end(line)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            doomed = threading.Event()
            try:
                server.connect(str(self._server))
            except OSError:
                _end(client)
                continue
            self._lines += [client, server]
            for target in (self._ask, self._answer):
                self._threads.append(threading.Thread(target=target, args=(client, server, doomed), daemon=True))
                self._threads[-1].start()

    def _ask(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(2**16):
                if self._is_due(data):
                    doomed.set()
                server.sendall(data)
        _end(client, server)

    def _answer(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(2**16):
                if doomed.is_set():
                    self._meanwhile()
                    self.lost.set()
                    break
                client.sendall(data)
        _end(client, server)

    def _is_due(self, data: bytes) -> bool:
        with self._lock:
            if not self._skip or self._pattern not in data:
                return False
            self._skip -= 1
            return not self._skip


def _nothing() -> None:
    """What happens meanwhile where nobody says."""


def _end(*lines: socket.socket) -> None:
    for line in lines:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        line.close()
