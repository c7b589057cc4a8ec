"""Whether a model folder's files are the ones its card names. No torch: the front end runs this too."""

import hashlib
import json
import re
from pathlib import Path

from model_store.card import WEIGHTS, AnyCard
from model_store.faults import FolderFault, UnreadableModel
from model_store.regular_files import open_regular

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEADER_LIMIT_BYTES = 64 * 2**20


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_plain_names(card: AnyCard) -> bool:
    """Whether a card's files lie beside it and nowhere else."""
    return all(_PLAIN_NAME.fullmatch(name) for name in card.files)


def check_files(folder: Path, card: AnyCard) -> None:
    """Every file of the card is there, whole, and has its sha256.

    Raises:
        FolderFault: saying which file and why.
    """
    if WEIGHTS not in card.files:
        raise FolderFault(f"card.json names no {WEIGHTS}")
    for name, digest in card.files.items():
        if not _PLAIN_NAME.fullmatch(name):
            raise FolderFault("card.json lists a file whose name is not a plain file name")
        path = folder / name
        try:
            if not path.is_file():
                raise FolderFault(f"{name} is missing")
            if path.suffix == ".safetensors":
                _check_length(path)
            found = sha256_of(path)
        except OSError as err:
            raise UnreadableModel(f"{name} cannot be read") from err
        if found != digest.lower():
            raise FolderFault(f"{name} does not match its sha256: the file is damaged or was replaced")


def _check_length(path: Path) -> None:
    """The header's offsets end where the file ends; says "truncated" where a digest could only say "different"."""
    size = path.stat().st_size
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _HEADER_LIMIT_BYTES):
            raise FolderFault(f"{path.name} is truncated or not a safetensors file")
        try:
            header = json.loads(file.read(length))
            end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as err:
            raise FolderFault(f"{path.name} has no readable header") from err
    if end != size - 8 - length:
        raise FolderFault(f"{path.name} is truncated or has bytes past its end")
