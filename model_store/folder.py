"""A model folder in the making: it appears under its name complete and on disk, or not at all. No torch.

Import and training write by it. Whatever step a stop falls on, the name holds one whole model: the one before, none
where there was none, or the new one.
"""

import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from model_store.card import CARD, NAME_RULE, WEIGHTS, AnyCard, is_name
from model_store.faults import Refusal
from model_store.integrity import sha256_of

Card = TypeVar("Card", bound=AnyCard)
_NEW, _OLD = ".importing-", ".replaced-"
_ABANDONED_S = 60.0
"""A folder in the making that nobody holds counts as left behind after this."""
_CANNOT_SWAP = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EPERM}


class NotWritten(Refusal):
    """A model folder that cannot be written where it was asked for."""


@contextmanager
def staged(root: Path, name: str, force: bool) -> Iterator[Path]:
    """A hidden folder beside the target, which becomes `root / name` when the block ends well and is removed when not.

    Raises:
        NotWritten: the name is not valid or taken (unless `force`), or the folder cannot be written.
    """
    if not is_name(name):
        raise NotWritten(f"{NAME_RULE.capitalize()}.")
    target = Path(root).resolve() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _tidy(target)
        if target.exists() and not force:
            raise NotWritten(
                f"A model named {name} exists already; choose another --name or give --force to replace it."
            )
        folder = Path(tempfile.mkdtemp(prefix=_NEW, dir=target.parent))
    except OSError as err:
        raise NotWritten("The model folder cannot be written.") from err
    try:
        with held(folder):
            yield folder
            _settle(folder)
            _publish(folder, target, force)
    except OSError as err:
        raise NotWritten("The model folder cannot be written.") from err
    finally:
        _remove(folder)


def write_card(folder: Path, card: Card) -> Card:
    """Write card.json beside the weights; returns the card with the weights' digest."""
    card = card.model_copy(update={"files": {WEIGHTS: sha256_of(folder / WEIGHTS)}})
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return card


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` which takes its place, complete and on disk, when the block ends well."""
    partial = path.with_suffix(".partial")
    yield partial
    _flush(partial)
    partial.replace(path)
    _flush(path.parent)


def software_version() -> str:
    """Of the installed project; empty where it runs from a bare folder."""
    try:
        return metadata.version("voxelsmith")
    except metadata.PackageNotFoundError:
        return ""


def _settle(folder: Path) -> None:
    """All that lies in it readable for others and on disk, the folder last."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o755 if path.is_dir() else 0o644)
        _flush(path)
    folder.chmod(0o755)
    _flush(folder)


def _publish(folder: Path, target: Path, force: bool) -> None:
    """One rename. A model that is there changes places with the new one at once and is removed with what was staged.

    Where the file system cannot do that, it steps aside first; should a stop fall between, `_tidy` puts it back.
    """
    is_there = force and (target.exists() or target.is_symlink())
    if not (is_there and _swap(folder, target)):
        aside = target.with_name(f"{_OLD}{target.name}~{folder.name.removeprefix(_NEW)}")
        if is_there:
            target.rename(aside)
        try:
            folder.rename(target)
        except OSError as err:
            if is_there:
                aside.rename(target)
            raise NotWritten(f"A model named {target.name} appeared meanwhile or cannot be replaced.") from err
    _flush(target.parent)
    _tidy(target)


def _swap(one: Path, other: Path) -> bool:
    """Both names change places in one step (Linux); False where it cannot be done."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        return False
    here, rename_exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if exchange(here, os.fsencode(one), here, os.fsencode(other), rename_exchange) == 0:
        return True
    if ctypes.get_errno() in _CANNOT_SWAP:
        return False
    raise OSError(ctypes.get_errno(), "the folders cannot change places")


def _tidy(target: Path) -> None:
    """After a stop: put back a model that stepped aside for one that never came, and remove what was left behind."""
    for aside in sorted(target.parent.glob(f"{_OLD}{target.name}~*"), key=lambda path: path.lstat().st_mtime):
        if target.exists():
            _remove(aside)
        else:
            aside.rename(target)
    for folder in target.parent.glob(f"{_NEW}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                with held(folder):
                    _remove(folder)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """As long as a process writes the folder, however it ends. Raises: BlockingIOError, where another one does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            if err.errno == errno.EWOULDBLOCK:
                raise
            # else a file system without locks: nothing is known of others
        yield
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
