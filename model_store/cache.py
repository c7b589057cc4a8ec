"""FileCache: files by their SHA-256 in a folder that several processes of one host share. No torch."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from model_store.card import CARD
from model_store.faults import FolderFault, UnreadableModel
from model_store.integrity import sha256_of

_FILE, _PART = "file", "part"
_RETRY_S = 1.0
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")

Fetch = Callable[[str], Iterable[bytes]]
"""Name of a file to its bytes. Raises: OSError."""


class FileCache:
    """Each file has a folder named by its digest, which is also its lock: the kernel frees it however its holder ends.

    Who reads a file holds the lock shared; who fetches or removes it holds it alone.
    """

    def __init__(self, folder: Path, limit_bytes: int, patience_s: float = 0.0) -> None:
        """`patience_s`: for a file that does not come, tried again meanwhile."""
        self._folder, self._limit_bytes, self._patience_s = folder, limit_bytes, patience_s

    def open(self) -> None:
        """Makes the folder. Raises: OSError where nothing can be kept in it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._folder):
            return

    @contextmanager
    def holding(self, files: Mapping[str, str], fetch: Fetch) -> Iterator[Path]:
        """A folder with the files of these names and digests, which nobody removes during the block. A file that is not
        in the cache, or damaged there, is fetched.

        Raises:
            FolderFault: what came does not have its digest.
            UnreadableModel: it did not come, or cannot be kept.
        """
        with ExitStack() as stack:
            try:
                view = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voxelsmith-")))
                for name, sha256 in files.items():
                    if not _SHA256.fullmatch(sha256):
                        raise FolderFault(f"{CARD} has a sha256 that is none")
                    (view / name).symlink_to(self._hold(name, sha256.lower(), fetch, stack))
            except OSError as err:
                raise UnreadableModel("the model's files cannot be fetched and kept") from err
            yield view

    def _hold(self, name: str, sha256: str, fetch: Fetch, stack: ExitStack) -> Path:
        """The cached file, its lock held shared until the stack unwinds."""
        folder = self._folder / sha256
        while True:
            with ExitStack() as attempt:
                lock = attempt.enter_context(_opened(folder))
                fcntl.flock(lock, fcntl.LOCK_SH)
                if _is_sound(folder / _FILE, sha256):
                    os.utime(folder / _FILE)  # the least recently used go first
                    stack.push(attempt.pop_all())
                    return folder / _FILE
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Someone else may have fetched it, or removed the folder, in the moment between the two locks.
                if _is_same(lock, folder) and not _is_sound(folder / _FILE, sha256):
                    self._fetch_patiently(name, sha256, folder, fetch)

    def _fetch_patiently(self, name: str, sha256: str, folder: Path, fetch: Fetch) -> None:
        patience = time.monotonic() + self._patience_s
        while True:
            try:
                self._fetch(name, sha256, folder, fetch)
                return
            except OSError:
                if time.monotonic() > patience:
                    raise
            time.sleep(_RETRY_S)

    def _fetch(self, name: str, sha256: str, folder: Path, fetch: Fetch) -> None:
        digest, part = hashlib.sha256(), folder / _PART
        try:
            with part.open("wb") as file:
                for piece in fetch(name):
                    digest.update(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            if digest.hexdigest() != sha256:
                raise FolderFault(f"{name} does not match its sha256: the file is damaged or was replaced")
            part.rename(folder / _FILE)
        finally:
            part.unlink(missing_ok=True)
        self._make_room()

    def _make_room(self) -> None:
        """Removes what nobody holds, least recently used first, until the rest fits; remains of killed fetches too."""
        entries = sorted(_entries(self._folder))
        total = sum(size for _, size, _ in entries)
        for _, size, folder in entries:
            if total <= self._limit_bytes:
                return
            with _opened(folder) as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(folder, ignore_errors=True)
                total -= size


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield lock
    finally:
        os.close(lock)


def _entries(root: Path) -> Iterator[tuple[float, int, Path]]:
    """(last use, size in bytes, folder) of each file."""
    for folder in root.iterdir():
        try:
            files = [path.stat() for path in folder.iterdir()]
        except OSError:  # removed meanwhile
            continue
        yield max((stat.st_mtime for stat in files), default=0.0), sum(stat.st_size for stat in files), folder


def _is_same(lock: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), folder.stat())
    except FileNotFoundError:
        return False


def _is_sound(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except FileNotFoundError:
        return False
