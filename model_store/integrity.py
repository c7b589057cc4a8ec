"""Whether a model folder's files are the ones its card names. No torch: the front end runs this too."""

import hashlib
import json
import re
from pathlib import Path

from model_store.card import WEIGHTS, AnyCard
from model_store.faults import FolderFault, UnreadableModel
from model_store.regular_files import open_regular
from model_store.sizes.base import Shapes
from model_store.sizes.table import sizes_of

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
    """Every file of the card is there, whole, and has its sha256; the weights file's tensors are those of the card's
    network, where its family can say them without torch.

    Raises:
        FolderFault: saying which file and why.
    """
    if WEIGHTS not in card.files:
        raise FolderFault(f"card.json names no {WEIGHTS}")
    expected = sizes_of(card).tensors()
    for name, digest in card.files.items():
        if not _PLAIN_NAME.fullmatch(name):
            raise FolderFault("card.json lists a file whose name is not a plain file name")
        path = folder / name
        try:
            if not path.is_file():
                raise FolderFault(f"{name} is missing")
            shapes = _shapes(path) if path.suffix == ".safetensors" else {}
            found = sha256_of(path)
        except OSError as err:
            raise UnreadableModel(f"{name} cannot be read") from err
        if found != digest.lower():
            raise FolderFault(f"{name} does not match its sha256: the file is damaged or was replaced")
        if name == WEIGHTS and expected is not None:
            check_tensors(shapes, expected)


def check_tensors(found: Shapes, expected: Shapes) -> None:
    """Raises: FolderFault, where a weights file lacks tensors, has others, or has one of another shape."""
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing:
        raise FolderFault(f"{WEIGHTS} lacks {len(missing)} tensors, first {missing[0]}")
    if extra:
        raise FolderFault(f"{WEIGHTS} has {len(extra)} tensors that the network does not know")
    for key, shape in expected.items():
        if found[key] != shape:
            raise FolderFault(f"{WEIGHTS}: {key} has shape {found[key]}, the card's network needs {shape}")


def _shapes(path: Path) -> Shapes:
    """Of a safetensors file's tensors by their keys, from its header.

    Raises: FolderFault, where the header's offsets do not end where the file ends; so it says "truncated" where a
    digest could only say "different".
    """
    size = path.stat().st_size
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _HEADER_LIMIT_BYTES):
            raise FolderFault(f"{path.name} is truncated or not a safetensors file")
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
            shapes = {key: tuple(map(int, entry["shape"])) for key, entry in header.items()}
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as err:
            raise FolderFault(f"{path.name} has no readable header") from err
    if end != size - 8 - length:
        raise FolderFault(f"{path.name} is truncated or has bytes past its end")
    return shapes
