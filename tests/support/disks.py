"""Small file systems of their own, to be filled."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """The root of a new file system of that size; needs the right to mount."""
    with tempfile.TemporaryDirectory(prefix="vs-disk-", dir="/tmp") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a small file system is not allowed here")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def fill(path: Path) -> None:
    """Makes a file that takes all the space that its disk has left."""
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while file.write(b"x" * size) == size:
                    continue
            except OSError:
                continue
