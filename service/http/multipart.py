"""A multipart/form-data body of known parts, parsed as it streams in."""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import BinaryIO, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from contract.errors import InvalidRequest, StoreFull, UploadTooLarge

_CHECK_EVERY_BYTES = 16 * 2**20


class Part(Protocol):
    """Where the bytes of one part go."""

    def write(self, data: bytes) -> object: ...


class Memory:
    """A small part, kept whole."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > self._max_bytes:
            raise UploadTooLarge(f"This part of the body may have at most {self._max_bytes} bytes.")
        self.data += data


class Spool:
    """A large part, into an unbuffered file (nothing is left to fail at its close), hashed on the way.

    The file's disk keeps `min_free_bytes` for others, looked at every 16 MiB.
    """

    def __init__(self, file: BinaryIO, min_free_bytes: int = 0) -> None:
        self.file, self._min_free_bytes, self._checked_to = file, min_free_bytes, 0
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Raises: StoreFull."""
        left = memoryview(data)
        try:
            self._check_room()
            while left:  # an unbuffered file may take a part only
                left = left[self.file.write(left) :]
        except OSError as err:
            raise StoreFull("There is no room for the upload now.") from err
        self._digest.update(data)
        self.size_bytes += len(data)

    def _check_room(self) -> None:
        if self._min_free_bytes and self.size_bytes >= self._checked_to:
            self._checked_to = self.size_bytes + _CHECK_EVERY_BYTES
            disk = os.fstatvfs(self.file.fileno())
            if disk.f_bavail * disk.f_frsize < self._min_free_bytes:
                raise StoreFull("There is no room for the upload now.")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class Form:
    """Feeds the parts of a body to their places. Each may come once, none may be unknown; file names are ignored."""

    def __init__(
        self, content_type: str, parts: Mapping[str, Part], again: Mapping[str, Callable[[], Part]] | None = None
    ) -> None:
        """`again`: parts that may come twice, and what makes the place of the second one.

        Raises: InvalidRequest where the content type has no usable boundary.
        """
        self._again = dict(again or {})
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self._parts = dict(parts)
        self.seen: set[str] = set()
        self._target: Part | None = None
        self._name, self._value, self._disposition = b"", b"", b""
        self._is_complete = False
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_header_field": self._take_header_name,
            "on_header_value": self._take_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open_part,
            "on_part_data": self._take_data,
            "on_end": self._finish,
        }
        if not boundary:
            raise malformed("its content type has no boundary")
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as err:
            raise malformed("its boundary is too long") from err

    def feed(self, chunk: bytes) -> None:
        """Raises: InvalidRequest, UploadTooLarge."""
        try:
            self._parser.write(chunk)
        except FormParserError as err:
            raise malformed("it is not well-formed") from err

    def close(self) -> None:
        """Raises: InvalidRequest where the body ended early."""
        if not self._is_complete:
            raise malformed("it ends before its closing boundary")

    def _begin(self) -> None:
        self._target, self._disposition = None, b""

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def _open_part(self) -> None:
        kind, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or name not in self._parts:
            raise malformed(f"its parts are {' and '.join(sorted(self._parts))}, and it has another one")
        if name in self.seen and name in self._again:
            self._target = self._again.pop(name)()
            return
        if name in self.seen:
            raise InvalidRequest("The form is not valid.", [(f"/{name}", "is there twice")])
        self.seen.add(name)
        self._target = self._parts[name]

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        assert self._target is not None
        self._target.write(data[start:end])

    def _finish(self) -> None:
        self._is_complete = True


def malformed(reason: str) -> InvalidRequest:
    return InvalidRequest("The multipart body cannot be read.", [("", reason)])
