"""Fitted directions: one JSON file per direction in the store, beside the ones that ship with a model."""

import json
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from contract.errors import DirectionExists, UnknownDirection, UnknownResult
from contract.fields import NAME_PATTERN
from jobs.results.store import ResultStore

_NAME = re.compile(NAME_PATTERN)
_OWNERS = "owners"
"""Keys owners/<key>/<model>/<name> tell whose a direction is."""


class FittedDirections:
    """Directions by model and name. A stored direction never changes: remove it to fit another of its name."""

    def __init__(self, results: ResultStore) -> None:
        self._results = results

    def names(self, model: str) -> list[str]:
        """Raises: StoreUnavailable."""
        if not _NAME.fullmatch(model):
            return []
        keys = self._results.list(f"directions/{model}")
        return [key.rpartition("/")[2].removesuffix(".json") for key in keys]

    def list(self, model: str) -> list[dict[str, Any]]:
        """Every fitted direction of a model, by name. Raises: StoreUnavailable."""
        found = []
        for name in self.names(model):
            try:
                found.append(self.get(model, name))
            except UnknownDirection:  # removed since it was listed, or damaged
                continue
        return found

    def get(self, model: str, name: str) -> dict[str, Any]:
        """Raises: UnknownDirection, also where the stored one is damaged, StoreUnavailable."""
        try:
            body = b"".join(self._results.open(_key(model, name)))
        except UnknownResult as err:
            raise UnknownDirection("The model has no fitted direction of that name.") from err
        try:
            direction: dict[str, Any] = json.loads(body)
        except ValueError as err:
            raise UnknownDirection("The stored direction of that name is damaged; remove it.") from err
        return direction

    def owned(self, owner: str) -> Sequence[str]:
        """Of the directions that an API key has fitted, model/name. Raises: StoreUnavailable."""
        keys = self._results.list(f"{_OWNERS}/{owner}") if owner else ()
        return [key.partition("/")[2].partition("/")[2] for key in keys]

    def put(self, model: str, direction: dict[str, Any], owner: str = "") -> None:
        """Stores a direction under its own `name`; storing the very same again is fine, as a rerun of its job does.

        `owner`: the API key whose it is, and which may remove it.
        Raises: DirectionExists, StoreUnavailable, StoreFull.
        """
        name = direction["name"]
        if owner:
            self._note(owner, model, name)
        try:
            self._put(model, name, direction)
        except DirectionExists:
            if owner:  # it is somebody else's
                with suppress(UnknownResult):
                    self._results.remove(f"{_OWNERS}/{owner}/{model}/{name}")
            raise

    def _put(self, model: str, name: str, direction: dict[str, Any]) -> None:
        body = json.dumps(direction, allow_nan=False, indent=1).encode()
        with tempfile.TemporaryDirectory(prefix="voxelsmith-") as folder:
            path = Path(folder) / "direction.json"
            path.write_bytes(body)
            try:
                self._results.write(_key(model, name), path, exclusive=True)
            except FileExistsError as err:
                with suppress(UnknownDirection):
                    if self.get(model, name) == direction:
                        return
                raise DirectionExists("The model already has a fitted direction of that name.") from err

    def delete(self, model: str, name: str) -> None:
        """Raises: UnknownDirection, StoreUnavailable."""
        try:
            self._results.remove(_key(model, name))
        except UnknownResult as err:
            raise UnknownDirection("The model has no fitted direction of that name.") from err
        for key in self._results.list(_OWNERS):
            if key.endswith(f"/{model}/{name}"):
                with suppress(UnknownResult):
                    self._results.remove(key)

    def _note(self, owner: str, model: str, name: str) -> None:
        """Whose a direction is, before it is there: a list of it is short, and none is without an owner."""
        _key(model, name)
        with tempfile.TemporaryDirectory(prefix="voxelsmith-") as folder:
            path = Path(folder) / "owner"
            path.write_bytes(b"{}")
            self._results.write(f"{_OWNERS}/{owner}/{model}/{name}", path)


def _key(model: str, name: str) -> str:
    """Raises: UnknownDirection for what cannot be a name."""
    if not (_NAME.fullmatch(model) and _NAME.fullmatch(name)):
        raise UnknownDirection("The model has no fitted direction of that name.")
    return f"directions/{model}/{name}.json"
