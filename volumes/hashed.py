"""A file that knows its size and digest from the bytes as they are written, so that nobody reads it again."""

import hashlib
import io
from pathlib import Path
from typing import Any

Written = tuple[int, str]
"""Size in bytes and SHA-256 of a file."""


class HashedFile(io.BufferedWriter):
    """A new file, written from its start to its end. `array.tofile` would go past it: it takes only `write`."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "wb"))
        self._digest, self._size = hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        """Any bytes-like object."""
        self._digest.update(data)
        count = super().write(data)
        self._size += count
        return count

    @property
    def written(self) -> Written:
        """Of all bytes up to now."""
        return self._size, self._digest.hexdigest()
