"""FolderSink: a job's files into a folder of the user's, each under its name whole or not at all."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from contract.state import ResultFile
from volumes.whole_file import taking_the_place_of


def _silent(_name: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


class FolderSink:
    """Results in a folder, for the command line without a server."""

    def __init__(self, folder: Path, on_stage: Callable[[str, int, int], None] = _silent) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._on_stage = folder, on_stage

    def stage(self, name: str, done: int, total: int, left_s: float | None = None) -> None:  # noqa: ARG002
        """Passes progress on, to a progress bar."""
        self._on_stage(name, done, total)

    def keep(self, path: Path, entry: ResultFile) -> ResultFile:
        """Copies a finished file in under its name, over an older one. Raises: OSError that names the user's file."""
        with path.open("rb") as made, taking_the_place_of(self.folder / entry.name) as file:
            shutil.copyfileobj(made, file, 2**20)
        return entry

    def resume(self, replay_sha256: str, samples: Iterable[Sequence[str]]) -> list[list[ResultFile]]:  # noqa: ARG002
        """A command makes all volumes anew."""
        return []
