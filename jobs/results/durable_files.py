"""Files that are complete and on disk once they have their name: temp file, fsync, rename, fsync of the folder."""

import errno
import hashlib
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

CHUNK_BYTES = 2**20
FOREIGN_AGE_S = 24 * 3600
"""A temp file of another machine or container counts as abandoned after this; one of ours when its process is gone."""


def temp_path(folder: Path) -> Path:
    """A new name in a folder of temp files. It says whose it is, so that a sweep can tell who still writes."""
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder / f"{here()}.{os.getpid()}.{uuid.uuid4().hex}"


@contextmanager
def reading(source: Path | BufferedReader) -> Iterator[BufferedReader]:
    """A file from its start: by its path, or an open one, which stays open."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        source.seek(0)
        yield source


def copy(source: Path | BufferedReader, temp: Path) -> tuple[int, str]:
    """Copies to a new file and syncs it; size in bytes and SHA-256 of what was written."""
    digest, size = hashlib.sha256(), 0
    with reading(source) as reader, temp.open("xb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
            size += len(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return size, digest.hexdigest()


def take(source: Path, temp: Path) -> None:
    """Makes the source itself, or a copy of it where it lies on another file system, a new synced file."""
    try:
        source.rename(temp)
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, temp)
    with temp.open("rb+") as file:
        os.fsync(file.fileno())


def publish(temp: Path, target: Path, root: Path, *, exclusive: bool) -> None:
    """Gives a synced temp file its name below root. Raises: FileExistsError (exclusive), OSError."""
    try:
        _name(temp, target, root, exclusive=exclusive)
    except FileNotFoundError:
        # Someone removed the folder, empty until now, between its making and the rename.
        _name(temp, target, root, exclusive=exclusive)


def sweep_temp(folder: Path) -> None:
    """Removes the temp files of processes that are gone."""
    place, has_proc = here(), Path("/proc/self").exists()
    for path in folder.glob("*.*.*"):
        host, pid, _ = path.name.rsplit(".", 2)
        orphaned = has_proc and host == place and not Path(f"/proc/{pid}").exists()
        try:
            if orphaned or time.time() - path.stat().st_mtime > FOREIGN_AGE_S:
                path.unlink()
        except FileNotFoundError:
            continue


def here() -> str:
    """Where a process id means something: containers may share a host name, and each has numbers of its own."""
    try:
        return f"{socket.gethostname()}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


def _name(temp: Path, target: Path, root: Path, *, exclusive: bool) -> None:
    _make_folder(target.parent, root)
    if exclusive:
        os.link(temp, target)
    else:
        temp.rename(target)
    _sync_folder(target.parent)


def _make_folder(folder: Path, root: Path) -> None:
    """Makes a folder below root; each new name is synced into its parent, or a crash could lose it with its files."""
    if folder.exists():
        return
    if folder != root:
        _make_folder(folder.parent, root)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
