"""A folder of models to their cards. A broken model folder is listed with its reason and stops no other. No torch."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model_store.card import DirectionCard, ModelCard
from model_store.integrity import BrokenModel, UnreadableModel, check_files

SHIPPED = Path(__file__).parent / "demo"
"""The demo models that come with the package."""
FAMILIES = frozenset({"hagan", "progan", "split-shuffle", "stylegan", "stylegan3d"})
"""What load.py can build; named here because the front end lists models without torch."""
CARD = "card.json"
_CARD_LIMIT_BYTES = 2**20
_DIRECTION_LIMIT_BYTES = 4 * 2**20

Stamp = tuple[tuple[str, int, int, int], ...]


class UnknownModelName(KeyError):  # noqa: N818 -- the name that the house gives it
    """No folder of that name."""


@dataclass(frozen=True)
class Entry:
    """One model folder as last read: a card, or the reason why there is none."""

    folder: Path
    stamp: Stamp
    card: ModelCard | None = None
    reason: str = ""
    is_settled: bool = True
    """False where a file could not be read just now: the next look reads it again."""
    directions: tuple[DirectionCard, ...] = ()


class Catalogue:
    """The models under some folders, each model a folder named like it. Of two with one name the first wins.

    Every call looks at the folders' file times and reads again what changed, so an imported or removed model shows
    without a restart. Reading includes hashing the weights, once per change.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def cards(self) -> list[ModelCard]:
        """Cards of the models that can be served, by name."""
        return [entry.card for entry in self._scan().values() if entry.card is not None]

    def broken(self) -> dict[str, str]:
        """Folder name -> why that model cannot be served."""
        return {name: entry.reason for name, entry in self._scan().items() if entry.card is None}

    def card(self, name: str) -> ModelCard:
        """Raises: UnknownModelName, BrokenModel."""
        entry = self._entry(name)
        if entry.card is None:
            raise BrokenModel(entry.reason)
        return entry.card

    def folder(self, name: str) -> Path:
        """Where the model's files are, broken or not. Raises: UnknownModelName."""
        return self._entry(name).folder

    def directions(self, name: str) -> list[dict[str, Any]]:
        """The directions that ship with the model, by name. Raises: UnknownModelName, BrokenModel."""
        self.card(name)
        return [direction.model_dump() for direction in self._entry(name).directions]

    def note_broken(self, name: str, reason: str, fingerprint: str | None = None) -> None:
        """Keep what only loading can find (missing tensors, NaN) until the folder's files change.

        With the fingerprint of the card that was loaded, only if that is the card known here.
        """
        with self._lock:
            old = self._entries.get(name)
            if old is None or (fingerprint is not None and (old.card is None or old.card.fingerprint != fingerprint)):
                return
            self._entries[name] = Entry(old.folder, old.stamp, reason=reason)

    def _entry(self, name: str) -> Entry:
        try:
            return self._scan()[name]
        except KeyError as err:
            raise UnknownModelName(name) from err

    def _scan(self) -> dict[str, Entry]:
        with self._lock:
            found: dict[str, Entry] = {}
            for folder in self._model_folders():
                if folder.name not in found:
                    stamp = _stamp(folder)
                    known = self._entries.get(folder.name)
                    fresh = known is not None and known.folder == folder and known.stamp == stamp and known.is_settled
                    found[folder.name] = known if known is not None and fresh else _read(folder, stamp)
            self._entries = dict(sorted(found.items()))
            return self._entries

    def _model_folders(self) -> Iterator[Path]:
        for root in self._folders:
            try:
                children = sorted(root.iterdir())
            except OSError:  # a models folder that is not there holds no models
                continue
            # An importer writes into a dotted folder and renames it when it is whole.
            yield from (child for child in children if child.name[0] not in "._" and child.is_dir())


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


def _read(folder: Path, stamp: Stamp) -> Entry:
    try:
        card = read_card(folder)
        check_files(folder, card)
    except BrokenModel as err:
        return Entry(folder, stamp, reason=err.detail, is_settled=not isinstance(err, UnreadableModel))
    return Entry(folder, stamp, card, directions=tuple(_read_directions(folder, card)))


def read_card(folder: Path) -> ModelCard:
    """card.json of a model folder, checked against the folder's name.

    Raises:
        BrokenModel: missing, not JSON, not a card, another model's card, or a family this version cannot build.
    """
    path = folder / CARD
    if not path.is_file():
        raise BrokenModel("card.json is missing")
    try:
        if path.stat().st_size > _CARD_LIMIT_BYTES:
            raise BrokenModel("card.json is too large")
        card = ModelCard.model_validate_json(path.read_bytes())
    except OSError as err:
        raise UnreadableModel("card.json cannot be read") from err
    except ValidationError as err:
        first = err.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BrokenModel(f"card.json is not valid{f' at {place}' if place else ''}: {first['msg']}") from err
    if card.name != folder.name:
        raise BrokenModel("card.json carries another name than its folder")
    if card.family not in FAMILIES:
        raise BrokenModel("card.json is of a family that this version does not know")
    return card


def _read_directions(folder: Path, card: ModelCard) -> Iterator[DirectionCard]:
    """The sound ones made for exactly these weights; a stale or malformed one must not take the model down."""
    for path in sorted(folder.glob("directions/*.json")):
        try:
            if path.stat().st_size > _DIRECTION_LIMIT_BYTES:
                continue
            direction = DirectionCard.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if direction.fits(card) and direction.name == path.stem:
            yield direction
