"""Bucket: objects by key under one prefix of an S3 bucket, over obstore. Every call ends in seconds or moves bytes.

Address, credentials and region come from AWS_* variables, which obstore itself reads (docs/settings.md).
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from jobs.results import durable_files

PART_BYTES = 5 * 2**20
"""Larger objects go up in parts of this size; S3 takes no smaller ones."""
_PARTS_AT_ONCE = 4
_SHA256 = "sha256"
"""Name of the metadata in which an object carries its own digest."""
# A call without much of a body: 3 s per try, none begun after 4 s.
_CALL_CLIENT = {"connect_timeout": "2s", "timeout": "3s"}
_CALL_RETRIES = {"max_retries": 2, "retry_timeout": timedelta(seconds=4)}
# Bytes: as long as they move. A part must be up, or the next piece down, within 10 s; none begun after 8 s.
_BYTES_CLIENT = {"connect_timeout": "2s", "read_timeout": "10s", "timeout": "6h"}
_BYTES_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=8)}
_BACK_OFF = {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2}


@dataclass(frozen=True)
class Object:
    """What a listing or a look at one object tells."""

    key: str
    size_bytes: int
    modified: float
    """Seconds since the epoch, by the server's clock."""
    tag: str
    """Changes with the object's content."""
    sha256: str = ""
    """As written by `put`; only a look at the one object tells it."""


class Bucket:
    """Every method raises OSError: FileNotFoundError for a missing object, FileExistsError for one in the way.

    A put is atomic and durable once it returns: readers see the whole object or the one before.
    """

    def __init__(self, url: str, public_endpoint: str = "") -> None:
        """`url`: s3://bucket/prefix. `public_endpoint`: the server's address for those who get a signed URL.

        Connects to nothing.
        """
        self._calls = _store(url, _CALL_CLIENT, _CALL_RETRIES)
        self._bytes = _store(url, _BYTES_CLIENT, _BYTES_RETRIES)
        self._signer = _store(url, _CALL_CLIENT, _CALL_RETRIES, public_endpoint) if public_endpoint else self._calls

    def put(
        self,
        key: str,
        source: Path | BufferedReader,
        *,
        known: tuple[int, str] | None = None,
        exclusive: bool = False,
        attributes: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Uploads a local file, by its path or open; its size and SHA-256, which the object carries.

        `known`: both, from who wrote the file.

        `exclusive` goes up in one piece, for small files.
        """
        size, sha256 = known or digest_of(source)
        with durable_files.reading(source) as file, _as_os_errors():
            data: Any = file.read() if exclusive or size <= PART_BYTES else file
            obstore.put(
                self._bytes,
                key,
                data,
                attributes={**(attributes or {}), _SHA256: sha256},
                mode="create" if exclusive else "overwrite",
                use_multipart=not isinstance(data, bytes),
                chunk_size=PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        return size, sha256

    def look(self, key: str) -> Object:
        """An object without its bytes."""
        with _as_os_errors():
            found = obstore.get(self._calls, key, options={"head": True})
        return _object(found.meta, str(found.attributes.get(_SHA256, "")))

    def read(self, key: str, start: int, end: int, piece_bytes: int) -> Iterator[bytes]:
        """The bytes [start, end) in pieces; raises for a missing object at once, not on the first step."""
        with _as_os_errors():
            answer = obstore.get(self._bytes, key, options={"range": (start, end)})
        return _pieces(answer.stream(min_chunk_size=piece_bytes))

    def read_small(self, key: str, limit_bytes: int) -> bytes:
        """A whole object. Raises: ValueError where it has more bytes than that."""
        with _as_os_errors():
            answer = obstore.get(self._calls, key)
            if answer.meta["size"] <= limit_bytes:
                return bytes(answer.bytes())
        raise ValueError("the object is too large")

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Every object under a folder."""
        with _as_os_errors():
            for page in obstore.list(self._calls, prefix or None):
                yield from map(_object, page)

    def delete(self, keys: Iterable[str]) -> None:
        """Those that are there."""
        with _as_os_errors():
            obstore.delete(self._calls, list(keys))

    def signed_url(self, key: str, life_s: int) -> str:
        """An address that lets whoever has it GET that one object for a while."""
        with _as_os_errors():
            return str(obstore.sign(self._signer, "GET", key, timedelta(seconds=life_s)))

    def works(self) -> bool:
        """Whether an object can be written, read and listed now."""
        try:
            with _as_os_errors():
                obstore.put(self._calls, "probe", b"probe", use_multipart=False)
                return bytes(obstore.get(self._calls, "probe").bytes()) == b"probe" and any(self.list())
        except OSError:
            return False


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """What obstore says names hosts and keys; it stays in the cause."""
    try:
        yield
    except AlreadyExistsError as err:
        raise FileExistsError(errno.EEXIST, "the key is taken") from err
    except BaseError as err:
        raise OSError(errno.EIO, "the bucket does not answer as it should") from err


def _pieces(stream: Any) -> Iterator[bytes]:
    with _as_os_errors():
        for piece in stream:
            yield bytes(piece)


def digest_of(source: Path | BufferedReader) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, by its path or open."""
    with durable_files.reading(source) as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _store(url: str, client: Mapping[str, Any], retries: Mapping[str, Any], endpoint: str = "") -> Any:
    parts = urlsplit(url)
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config={"endpoint": endpoint} if endpoint else None,
        client_options={**client, "allow_http": True},  # the scheme of the endpoint decides
        retry_config={**retries, "backoff": _BACK_OFF},
    )


def _object(meta: Any, sha256: str = "") -> Object:
    return Object(meta["path"], int(meta["size"]), meta["last_modified"].timestamp(), meta["e_tag"] or "", sha256)
