"""Fitted directions: one JSON file per direction in the store, beside the ones that ship with a model."""

import json
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from contract.errors import DirectionExists, UnknownDirection, UnknownResult
from contract.fields import NAME_PATTERN
from jobs.results.store import ResultStore

_NAME = re.compile(NAME_PATTERN)


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

    def put(self, model: str, direction: dict[str, Any]) -> None:
        """Stores a direction under its own `name`; storing the very same again is fine, as a rerun of its job does.

        Raises: DirectionExists, StoreUnavailable, StoreFull.
        """
        name = direction["name"]
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


def _key(model: str, name: str) -> str:
    """Raises: UnknownDirection for what cannot be a name."""
    if not (_NAME.fullmatch(model) and _NAME.fullmatch(name)):
        raise UnknownDirection("The model has no fitted direction of that name.")
    return f"directions/{model}/{name}.json"
