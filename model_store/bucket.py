"""BucketShelf: models in a bucket, each under its name: card.json, weights, directions. No torch.

Cards and directions are kept in memory and looked at again every few seconds, off the path of requests. Weights are
fetched when a model is loaded, into a cache on the host.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from model_store.cache import FileCache
from model_store.card import CARD, AnyCard, DirectionCard
from model_store.faults import FolderFault, UnreadableModel
from model_store.reading import (
    CARD_LIMIT_BYTES,
    DIRECTION_LIMIT_BYTES,
    DIRECTIONS_LIMIT_BYTES,
    Stamp,
    parse_card,
    parse_direction,
)

LOOK_S = 10.0
_PIECE_BYTES = 2**20
log = logging.getLogger("voxelsmith.models")


class Listed(Protocol):
    """An object of a listing."""

    @property
    def key(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def tag(self) -> str: ...


class Objects(Protocol):
    """A bucket, as jobs.results.bucket.Bucket is one. Every method raises OSError."""

    def list(self, prefix: str = "") -> Iterator[Any]: ...
    def read_small(self, key: str, limit_bytes: int) -> bytes: ...
    def read(self, key: str, start: int, end: int, piece_bytes: int) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Shelved:
    """One model of the bucket as last read."""

    stamp: Stamp
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Of its files by their names."""
    card: AnyCard | None = None
    reason: str = ""
    directions: tuple[DirectionCard, ...] = ()
    is_settled: bool = True


class BucketShelf:
    """What a bucket has; while it is away, what it had."""

    def __init__(self, objects: Objects, cache: FileCache | None = None) -> None:
        """Without a cache models can be listed and not loaded."""
        self._objects, self._cache = objects, cache
        self._models: dict[str, Shelved] | None = None
        self._is_seen = False
        self._due = 0.0
        self._look = threading.Lock()

    def models(self) -> Mapping[str, Shelved]:
        """By name. The first call waits for the bucket, later ones for nothing."""
        if time.monotonic() >= self._due and self._look.acquire(blocking=self._models is None):
            if self._models is None:
                self._look_again()
            else:
                threading.Thread(target=self._look_again, name="models", daemon=True).start()
        return self._models or {}

    @property
    def is_seen(self) -> bool:
        """Whether the bucket has told what it has, so that what is not there does not exist."""
        self.models()
        return self._is_seen

    def files(self, name: str, card: AnyCard) -> AbstractContextManager[Path]:
        """As FileCache.holding, of all files that a card lists. Raises: FolderFault, UnreadableModel."""
        if self._cache is None:
            raise UnreadableModel("the model lies in a bucket, and this process has no cache for it")
        sizes = (self._models or {}).get(name, Shelved(())).sizes

        def fetch(file: str) -> Iterator[bytes]:
            return self._objects.read(f"{name}/{file}", 0, sizes.get(file, 0), _PIECE_BYTES)

        return self._cache.holding(card.files, fetch)

    def _look_again(self) -> None:
        """Called with the lock held, which it gives back."""
        try:
            if self._models is None or time.monotonic() >= self._due:
                self._models, self._is_seen = self._read_all(), True
        except OSError:
            log.warning("the bucket of models does not answer")
        finally:
            self._models = self._models or {}
            self._due = time.monotonic() + LOOK_S
            self._look.release()

    def _read_all(self) -> dict[str, Shelved]:
        listed: dict[str, dict[str, Any]] = {}
        for found in self._objects.list():
            name, _, file = found.key.partition("/")
            if file and name[0] not in "._":
                listed.setdefault(name, {})[file] = found
        known, models = self._models or {}, {}
        for name, files in sorted(listed.items()):
            stamp = tuple((file, found.tag, found.size_bytes) for file, found in sorted(files.items()))
            old = known.get(name)
            fresh = old is not None and old.stamp == stamp and old.is_settled
            models[name] = old if old is not None and fresh else self._read(name, files, stamp)
        return models

    def _read(self, name: str, files: Mapping[str, Listed], stamp: Stamp) -> Shelved:
        try:
            if CARD not in files:
                raise FolderFault(f"{CARD} is missing")
            card = parse_card(name, self._objects.read_small(f"{name}/{CARD}", CARD_LIMIT_BYTES))
            missing = sorted(set(card.files) - set(files))
            if missing:
                raise FolderFault(f"{missing[0]} is missing")
            directions = tuple(self._read_directions(name, files, card))
        except ValueError:
            return Shelved(stamp, reason=f"{CARD} is too large")
        except OSError:
            return Shelved(stamp, reason=f"{CARD} cannot be read", is_settled=False)
        except FolderFault as err:
            return Shelved(stamp, reason=err.detail)
        return Shelved(stamp, {file: found.size_bytes for file, found in files.items()}, card, directions=directions)

    def _read_directions(self, name: str, files: Mapping[str, Listed], card: AnyCard) -> Iterator[DirectionCard]:
        room_bytes = DIRECTIONS_LIMIT_BYTES
        for file, found in sorted(files.items()):
            limit_bytes = min(DIRECTION_LIMIT_BYTES, room_bytes)
            if file.startswith("directions/") and file.endswith(".json") and found.size_bytes <= limit_bytes:
                room_bytes -= found.size_bytes
                stem = file.removeprefix("directions/").removesuffix(".json")
                data = self._objects.read_small(f"{name}/{file}", DIRECTION_LIMIT_BYTES)
                direction = parse_direction(stem, data, card)
                if direction is not None:
                    yield direction
