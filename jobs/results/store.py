"""ResultStore: files by key in a folder or a bucket, durable before anyone is told of them."""

import errno
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from contract.errors import StoreFull, StoreUnavailable, UnknownResult
from contract.state import ResultFile
from jobs.results import durable_files
from jobs.results.bucket import Bucket, digest_of
from jobs.results.recent import Recent

_KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._=+-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._=+-]{0,127}){0,4}")
_TEMP = ".tmp"


@contextmanager
def _failing_clearly() -> Iterator[None]:
    """Turns the storage layer's errors into UnknownResult, StoreFull and StoreUnavailable."""
    try:
        yield
    except FileNotFoundError as err:
        raise UnknownResult("There is no such file.") from err
    except (OSError, BaseError) as err:
        raise _write_failure(err) from err


def _write_failure(err: Exception) -> StoreFull | StoreUnavailable:
    if isinstance(err, OSError) and err.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull("The result store is full.")
    return StoreUnavailable("The result store does not answer.")


class ResultStore:
    """A file:// folder or a prefix of an s3:// bucket.

    Keys: as of `result_key`, results/<job>/manifest.json, uploads/<job>/<name>, directions/<model>/<name>.json.
    """

    def __init__(self, url: str, public_endpoint: str = "") -> None:
        """Makes the folder of a file:// URL; connects to no bucket. `public_endpoint`: as of `Bucket`.

        Raises: StoreUnavailable.
        """
        self._recent = Recent()
        self._root = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None
        with _failing_clearly():
            if self._root is None:
                self._bucket = Bucket(url, public_endpoint)
            else:
                self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._folder: Any = LocalStore(self._root, automatic_cleanup=True)

    @property
    def is_remote(self) -> bool:
        """Whether a network lies between this process and the files."""
        return self._root is None

    def result_key(self, job_id: str, name: str, sha256: str) -> str:
        """Where a file of a job lies.

        In a bucket under its own digest: nothing can be done between the last look at a lease and the end of an upload,
        so that a worker frozen there may finish it much later, and must not replace what another one has published.
        """
        return f"results/{job_id}/{name}" if self._root is not None else f"results/{job_id}/{sha256}/{name}"

    def write_result(
        self,
        job_id: str,
        entry: ResultFile,
        path: Path,
        check: Callable[[], object] | None = None,
    ) -> tuple[int, str]:
        """As `write`, under the key of a job's file; an entry with a digest tells size and digest."""
        known = (entry.size_bytes, entry.sha256) if entry.sha256 else None
        if self._root is None and known is None:
            with _failing_clearly():
                known = digest_of(path)
        key = self.result_key(job_id, entry.name, known[1] if known else "")
        attributes = {"Content-Type": entry.media_type, "Content-Disposition": entry.disposition}
        return self.write(key, path, check=check, known=known, attributes=attributes)

    def write(
        self,
        key: str,
        source: Path | BufferedReader,
        *,
        exclusive: bool = False,
        check: Callable[[], object] | None = None,
        known: tuple[int, str] | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Copies a local file under a key; returns its size in bytes and its SHA-256 once it is on disk.

        `source`: its path, or the open file, of which all is taken.
        Who has written the file and knows both says so: they are not computed again, and the file may be moved.

        `check` runs as late as can be before the key shows the file: what it raises leaves nothing behind.
        `exclusive` refuses to replace. `attributes`: header fields that a bucket sends along with the file.
        Raises: FileExistsError (exclusive), StoreFull, StoreUnavailable.
        """
        _require(key)
        try:
            if self._root is not None:
                return self._put_file(key, source, exclusive, check, known)
            if check is not None:
                check()
            return self._bucket.put(key, source, known=known, exclusive=exclusive, attributes=attributes)
        except FileExistsError:
            raise
        except (OSError, BaseError) as err:
            raise _write_failure(err) from err

    def open(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes [start, end) in pieces. The file stays readable to the end even if it is removed meanwhile.

        Raises at once, not on the first step: UnknownResult, StoreUnavailable.
        """
        size = self.size(key)
        end = size if end is None else min(end, size)
        if start >= end:
            return iter(())
        with _failing_clearly():
            if self._root is not None:  # obstore's stream of a local file takes four times as long
                pieces = _pieces_of_file(self._root / key, start, end)
                next(pieces)
                return pieces
            return _pieces(self._bucket.read(key, start, end, durable_files.CHUNK_BYTES))

    def size(self, key: str) -> int:
        """In bytes. Raises: UnknownResult, StoreUnavailable."""
        _require(key)
        with _failing_clearly():
            if self._root is None:
                return self._bucket.look(key).size_bytes
            return int(obstore.head(self._folder, key)["size"])

    def signed_url(self, key: str, size_bytes: int, sha256: str, life_s: int) -> str:
        """An address where a bucket gives that file to anyone for `life_s`; "" for a folder.

        Raises: UnknownResult where the bucket has no such file or another one, StoreUnavailable.
        """
        _require(key)
        if self._root is not None:
            return ""
        with _failing_clearly():
            found = self._bucket.look(key)
            if (found.size_bytes, found.sha256) != (size_bytes, sha256):
                raise UnknownResult("The file is not the one that was stored.")
            return self._bucket.signed_url(key, life_s)

    def verify(self, key: str, sha256: str, within_s: float = 0.0) -> bool:
        """Whether the stored bytes have that digest; reads them all, unless somebody did within that time and the file
        is as it was then. Raises: UnknownResult, StoreUnavailable."""
        if not within_s:
            return self._has_digest(key, sha256)
        return self._recent.ask((key, sha256, self._stamp(key)), within_s, lambda: self._has_digest(key, sha256))

    def _stamp(self, key: str) -> tuple[object, ...]:
        """Changes with the file."""
        _require(key)
        with _failing_clearly():
            if self._root is None:
                found = self._bucket.look(key)
                return found.tag, found.size_bytes, found.modified
            stat = (self._root / key).stat()
            return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

    def _has_digest(self, key: str, sha256: str) -> bool:
        digest = hashlib.sha256()
        for piece in self.open(key):
            digest.update(piece)
        return digest.hexdigest() == sha256

    @contextmanager
    def read_path(self, key: str) -> Iterator[Path]:
        """A local path with the file's bytes, to read only. Raises: UnknownResult, StoreUnavailable, StoreFull."""
        pieces = self.open(key)
        if self._root is not None:
            yield self._root / key
            return
        with tempfile.TemporaryDirectory(prefix="voxelsmith-") as folder:
            path = Path(folder) / key.rpartition("/")[2]
            with _failing_clearly(), path.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            yield path

    def list(self, prefix: str) -> list[str]:
        """Every key under a folder. Raises: StoreUnavailable."""
        return sorted(key for key, _ in self._entries(prefix))

    def remove(self, key: str) -> None:
        """Raises: UnknownResult, StoreUnavailable."""
        _require(key)
        with _failing_clearly():
            if self._root is None:
                self._bucket.look(key)  # S3 does not tell whether it had what it deleted
                self._bucket.delete([key])
            else:
                obstore.delete(self._folder, key)

    def remove_prefix(self, prefix: str) -> None:
        """Removes every file under a folder, and the folder; nothing there is fine. Raises: StoreUnavailable."""
        _require(prefix)
        if self._root is not None:
            with _failing_clearly():
                shutil.rmtree(self._root / prefix, onerror=_unless_missing)
            return
        keys = self.list(prefix)
        with _failing_clearly():
            self._bucket.delete(keys)

    def drop(self, job_id: str, *tops: str) -> None:
        """Removes files of a job whose record says that they are gone, below `results` or `uploads`; where the store
        does not answer, the sweep will do it."""
        for top in tops:
            with suppress(StoreUnavailable):
                self.remove_prefix(f"{top}/{job_id}")

    def writable(self, within_s: float = 0.0) -> bool:
        """Whether a small file can be written and synced now, or could within that time."""
        return self._recent.ask("writable", within_s, self._can_write)

    def _can_write(self) -> bool:
        if self._root is None:
            return self._bucket.works()
        try:
            with tempfile.TemporaryDirectory(prefix="voxelsmith-") as folder:
                probe = Path(folder) / "probe"
                probe.write_bytes(b"probe")
                temp = durable_files.temp_path(self._root / _TEMP)
                try:
                    durable_files.copy(probe, temp)
                finally:
                    temp.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def check_room(self, min_free_bytes: int) -> None:
        """Raises: StoreFull where the disk has less free space; an object store has no such end. StoreUnavailable."""
        if self._root is None:
            return
        with _failing_clearly():
            free = shutil.disk_usage(self._root).free
        if free < min_free_bytes:
            raise StoreFull("The result store is nearly full and takes no new jobs; remove old ones.")

    def sweep(self, is_known: Callable[[str], bool], min_age_s: float = 3600.0) -> int:
        """Removes what nothing points to: temp files of dead processes, and files of jobs without a record.

        `min_age_s` spares an upload whose job is just being submitted. Returns how many jobs' files went.
        Raises: StoreUnavailable.
        """
        if self._root is not None:
            with _failing_clearly():
                durable_files.sweep_temp(self._root / _TEMP)
        newest: dict[tuple[str, str], float] = {}
        for top in ("results", "uploads"):
            for key, modified in self._entries(top):
                folder = (top, key.split("/")[1])
                newest[folder] = max(newest.get(folder, 0.0), modified)
        gone = [
            (top, job_id)
            for (top, job_id), modified in newest.items()
            if time.time() - modified > min_age_s and not is_known(job_id)
        ]
        for top, job_id in gone:
            self.remove_prefix(f"{top}/{job_id}")
        return len(gone)

    def _entries(self, prefix: str) -> Iterator[tuple[str, float]]:
        """(key, time of last change) of every file under a folder."""
        _require(prefix)
        if self._root is None:
            yield from self._objects(prefix)
            return
        with _failing_clearly():
            for page in obstore.list(self._folder, prefix):
                for entry in page:
                    yield entry["path"], entry["last_modified"].timestamp()

    def _objects(self, prefix: str) -> Iterator[tuple[str, float]]:
        try:
            for found in self._bucket.list(prefix):
                yield found.key, found.modified
        except OSError as err:  # a missing bucket too
            raise _write_failure(err) from err

    def _put_file(
        self,
        key: str,
        source: Path | BufferedReader,
        exclusive: bool,
        check: Callable[[], object] | None,
        known: tuple[int, str] | None,
    ) -> tuple[int, str]:
        assert self._root is not None
        temp = durable_files.temp_path(self._root / _TEMP)
        try:
            if known is None or not isinstance(source, Path):
                known = durable_files.copy(source, temp)
            else:
                durable_files.take(source, temp)
            if check is not None:
                check()
            durable_files.publish(temp, self._root / key, self._root, exclusive=exclusive)
        finally:
            temp.unlink(missing_ok=True)
        return known


def _require(key: str) -> None:
    """Keys are made by this project's own code, so that a bad one is a bug."""
    if not _KEY.fullmatch(key):
        raise ValueError("not a key of the result store")


def _pieces_of_file(path: Path, start: int, end: int) -> Iterator[bytes]:
    """The bytes [start, end); the first step opens the file and gives an empty piece."""
    with _failing_clearly(), path.open("rb", buffering=0) as file:
        yield b""
        file.seek(start)
        while start < end and (piece := file.read(min(durable_files.CHUNK_BYTES, end - start))):
            start += len(piece)
            yield piece


def _pieces(stream: Any) -> Iterator[bytes]:
    with _failing_clearly():
        for piece in stream:
            yield bytes(piece)


def _unless_missing(_function: Any, _path: Any, failure: Any) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]
