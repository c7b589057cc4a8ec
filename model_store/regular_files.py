"""Files of a folder that others may write to: looked at before they are read. No torch.

A pipe would be waited for, a device read for ever, a file of gigabytes taken into memory.
"""

import os
import stat
from io import BufferedReader
from pathlib import Path


class OddFileError(OSError):
    """Not a plain file, or larger than it may be."""


def open_regular(path: Path, limit_bytes: int | None = None) -> BufferedReader:
    """An open plain file. What is looked at is the very file that is then read. Raises: OddFileError, OSError."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # a pipe is not waited for
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or (limit_bytes is not None and found.st_size > limit_bytes):
        file.close()
        raise OddFileError("not a plain file, or too large")
    return file


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """A whole small file. Raises: OddFileError, also where it has grown meanwhile, OSError."""
    with open_regular(path, limit_bytes) as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OddFileError("too large")
    return data
