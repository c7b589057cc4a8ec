"""SharedBodies: large documents on their way to clients. However many read one, it is in memory once; and only so many
are there at once, for a client may take a minute for each."""

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakValueDictionary

LIMIT_BYTES = 64 * 2**20
LARGE_BYTES = 64 * 2**10
"""What is not larger is nobody's concern, and is sent in one piece."""


@dataclass(frozen=True)
class Body:
    """Holds its place for as long as somebody holds it."""

    data: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class SharedBodies:
    """The bodies of one process, by what they are known by."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        """A single one may be larger than the limit."""
        self._limit_bytes = limit_bytes
        self._bodies: WeakValueDictionary[str, Body] = WeakValueDictionary()
        self._lock = threading.Lock()

    def known(self, name: str) -> Body | None:
        """One that somebody reads now."""
        with self._lock:
            return self._bodies.get(name)

    def share(self, name: str, data: bytes) -> Body | None:
        """The body of that name, which is there once; None where there is no room for one more."""
        if len(data) <= LARGE_BYTES:
            return Body(data)
        with self._lock:
            body = self._bodies.get(name)
            if body is None:
                taken = sum(len(other.data) for other in self._bodies.values())
                if taken and taken + len(data) > self._limit_bytes:
                    return None
                body = self._bodies[name] = Body(data)
        return body
