"""Folders and buckets of models to their cards. A broken model is listed with its reason. No torch."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from model_store.bucket import BucketShelf, Shelved
from model_store.card import CARD, AnyCard, DirectionCard
from model_store.faults import FolderFault, UnreadableModel
from model_store.integrity import check_files
from model_store.last_evaluation import EVALUATION, EVALUATION_LIMIT_BYTES, LastEvaluation, parse_evaluation
from model_store.reading import (
    CARD_LIMIT_BYTES,
    DIRECTION_LIMIT_BYTES,
    DIRECTIONS_LIMIT_BYTES,
    Stamp,
    parse_card,
    parse_direction,
)
from model_store.regular_files import read_regular

SHIPPED = Path(__file__).parent / "demo"
"""The demo models that come with the package."""
log = logging.getLogger("voxelsmith.models")


class NoSuchFolder(KeyError):  # noqa: N818 -- the name that the house gives it
    """No folder of that name."""


@dataclass(frozen=True)
class Entry:
    """One model as last read: a card, or the reason why there is none."""

    place: Path | BucketShelf
    """Its folder, or the bucket that it is in."""
    stamp: Stamp
    card: AnyCard | None = None
    reason: str = ""
    is_settled: bool = True
    """False where a file could not be read just now: the next look reads it again."""
    directions: tuple[DirectionCard, ...] = ()
    evaluation: LastEvaluation | None = None


class Catalogue:
    """The models under some folders and in buckets, each a folder named like it. Of two with one name the first wins.

    Every call looks at the folders' file times and reads again what changed, so an imported or removed model shows
    without a restart. Reading includes hashing the weights, once per change.
    """

    def __init__(self, shelves: Sequence[Path | BucketShelf]) -> None:
        self._shelves = tuple(shelves)
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def cards(self) -> list[AnyCard]:
        """Cards of the models that can be served, by name."""
        return [entry.card for entry in self._scan().values() if entry.card is not None]

    @property
    def is_complete(self) -> bool:
        """False while a bucket has not told yet what it has: a model that is not here may be there."""
        return all(shelf.is_seen for shelf in self._shelves if isinstance(shelf, BucketShelf))

    def broken(self) -> dict[str, str]:
        """Folder name -> why that model cannot be served."""
        return {name: entry.reason for name, entry in self._scan().items() if entry.card is None}

    def card(self, name: str) -> AnyCard:
        """Raises: NoSuchFolder, FolderFault."""
        entry = self._entry(name)
        if entry.card is None:
            raise FolderFault(entry.reason)
        return entry.card

    def folder(self, name: str) -> Path:
        """Where the model's files are, broken or not. Raises: NoSuchFolder, FolderFault for one in a bucket."""
        place = self._entry(name).place
        if isinstance(place, BucketShelf):
            raise FolderFault("the model lies in a bucket")
        return place

    def files(self, name: str) -> AbstractContextManager[Path]:
        """A folder with the model's files for the time of the block; those of a bucket are fetched.

        Raises: NoSuchFolder, FolderFault.
        """
        card, place = self.card(name), self._entry(name).place
        return place.files(name, card) if isinstance(place, BucketShelf) else nullcontext(place)

    def directions(self, name: str) -> list[dict[str, Any]]:
        """The directions that ship with the model, by name. Raises: NoSuchFolder, FolderFault."""
        self.card(name)
        return [direction.model_dump() for direction in self._entry(name).directions]

    def evaluations(self) -> dict[str, LastEvaluation]:
        """The last evaluation of each model whose folder holds one; a bucket's are not looked for."""
        return {name: entry.evaluation for name, entry in self._scan().items() if entry.evaluation is not None}

    def note_broken(self, name: str, reason: str, fingerprint: str | None = None) -> None:
        """Keep what only loading can find (missing tensors, NaN) until the folder's files change.

        With the fingerprint of the card that was loaded, only if that is the card known here.
        """
        with self._lock:
            old = self._entries.get(name)
            if old is None or (fingerprint is not None and (old.card is None or old.card.fingerprint != fingerprint)):
                return
            self._entries[name] = Entry(old.place, old.stamp, reason=reason)

    def _entry(self, name: str) -> Entry:
        try:
            return self._scan()[name]
        except KeyError as err:
            raise NoSuchFolder(name) from err

    def _scan(self) -> dict[str, Entry]:
        with self._lock:
            found: dict[str, Entry] = {}
            for name, place, stamp, read in self._places():
                if name not in found:
                    known = self._entries.get(name)
                    fresh = known is not None and known.place == place and known.stamp == stamp and known.is_settled
                    found[name] = known if known is not None and fresh else read()
            self._entries = dict(sorted(found.items()))
            return self._entries

    def _places(self) -> Iterator[tuple[str, Path | BucketShelf, Stamp, Callable[[], Entry]]]:
        """Of each model: its name, where it is, its stamp, and how to read it."""
        for shelf in self._shelves:
            if isinstance(shelf, BucketShelf):
                for name, model in shelf.models().items():
                    yield name, shelf, model.stamp, partial(_entry_of, shelf, model)
            else:
                for folder in _model_folders(shelf):
                    stamp = _stamp(folder)
                    yield folder.name, folder, stamp, partial(_read, folder, stamp)


def _model_folders(root: Path) -> list[Path]:
    """The folders that may be models; of a root that is not there, or that this process may not enter, none."""
    try:
        # An importer writes into a dotted folder and renames it when it is whole.
        return [child for child in sorted(root.iterdir()) if child.name[0] not in "._" and child.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as err:
        _tell_once(root, err.strerror or "it cannot be read")
        return []


@cache
def _tell_once(root: Path, reason: str) -> None:
    """Else models would be missing without a word. The log may be read by many: of the path it has the last part."""
    log.warning("the folder of models %s cannot be read: %s", root.name, reason)


def _stamp(folder: Path) -> Stamp:
    """Names, times, sizes and inodes of the files that a model is read from."""
    files = [*sorted(folder.glob("*")), *sorted(folder.glob("directions/*.json"))]
    stamps = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:  # gone between listing and looking: the next scan sees it
            continue
        stamps.append((path.name, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(stamps)


def _entry_of(shelf: BucketShelf, model: Shelved) -> Entry:
    return Entry(shelf, model.stamp, model.card, model.reason, model.is_settled, model.directions)


def _read(folder: Path, stamp: Stamp) -> Entry:
    try:
        card = read_card(folder)
        check_files(folder, card)
    except FolderFault as err:
        return Entry(folder, stamp, reason=err.detail, is_settled=not isinstance(err, UnreadableModel))
    return Entry(
        folder, stamp, card, directions=tuple(_read_directions(folder, card)), evaluation=_read_evaluation(folder, card)
    )


def read_card(folder: Path) -> AnyCard:
    """card.json of a model folder.

    Raises:
        FolderFault: missing or too large; as `parse_card`.
    """
    path = folder / CARD
    try:
        if not path.is_file():
            raise FolderFault(f"{CARD} is missing")
        if path.stat().st_size > CARD_LIMIT_BYTES:
            raise FolderFault(f"{CARD} is too large")
        data = read_regular(path, CARD_LIMIT_BYTES)
    except OSError as err:
        raise UnreadableModel(f"{CARD} cannot be read") from err
    return parse_card(folder.name, data)


def _read_evaluation(folder: Path, card: AnyCard) -> LastEvaluation | None:
    """One that is not sound must not take the model down."""
    try:
        return parse_evaluation(read_regular(folder / EVALUATION, EVALUATION_LIMIT_BYTES), card.sha256)
    except OSError:
        return None


def _read_directions(folder: Path, card: AnyCard) -> Iterator[DirectionCard]:
    """The sound ones: one that is not must not take the model down."""
    room_bytes = DIRECTIONS_LIMIT_BYTES
    for path in sorted(folder.glob("directions/*.json")):
        try:
            data = read_regular(path, min(DIRECTION_LIMIT_BYTES, room_bytes))
        except OSError:
            continue
        room_bytes -= len(data)
        direction = parse_direction(path.stem, data, card)
        if direction is not None:
            yield direction
