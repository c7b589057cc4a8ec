"""A model folder in the making: it appears under its name complete and on disk, or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from model_store.card import NAME_RULE, is_name
from model_store.importers.jail import ImportRefused


@contextmanager
def staged(root: Path, name: str, force: bool) -> Iterator[Path]:
    """A hidden folder beside the target, renamed to `root / name` when the block ends well and removed when not.

    Raises:
        ImportRefused: the name is not valid or taken (unless `force`), or the folder cannot be written.
    """
    if not is_name(name):
        raise ImportRefused(f"{NAME_RULE.capitalize()}.")
    target = Path(root).resolve() / name
    if target.exists() and not force:
        raise ImportRefused(
            f"A model named {name} exists already; choose another --name or give --force to replace it."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".importing-", dir=target.parent))
    except OSError as err:
        raise ImportRefused("The model folder cannot be written.") from err
    try:
        yield folder
        folder.chmod(0o755)
        for path in folder.iterdir():
            path.chmod(0o644)
            _flush(path)
        _flush(folder)
        _publish(folder, target, force)
    except OSError as err:
        raise ImportRefused("The model folder cannot be written.") from err
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, target: Path, force: bool) -> None:
    """One rename; an existing model steps aside for it and returns if it fails."""
    aside = folder.with_name(folder.name.replace(".importing-", ".replaced-"))
    if force and target.exists():
        target.rename(aside)
    try:
        folder.rename(target)
    except OSError as err:
        if aside.exists():
            aside.rename(target)
        raise ImportRefused(f"A model named {target.name} appeared meanwhile or cannot be replaced.") from err
    _flush(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def software_version() -> str:
    """Of the installed project; empty where it runs from a bare folder."""
    try:
        return metadata.version("voxelsmith")
    except metadata.PackageNotFoundError:
        return ""
