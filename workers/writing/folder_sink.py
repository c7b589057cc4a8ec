"""FolderSink: a job's files into a folder of the user's, each under its name whole or not at all."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from contract.state import Manifest, ResultFile
from model_store.integrity import sha256_of
from volumes.whole_file import taking_the_place_of

NOTES = ".voxelsmith-unfinished.json"


def _silent(_name: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


class FolderSink:
    """Results in a folder, for the command line without a server.

    With notes, a job that was stopped goes on after what is there: they name the files that it has kept so far, and are
    gone when the job has ended (docs/decisions/0050).
    """

    def __init__(
        self, folder: Path, on_stage: Callable[[str, int, int], None] = _silent, *, has_notes: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._on_stage, self._has_notes = folder, on_stage, has_notes
        self.results: list[ResultFile] = []
        """The volumes that are there."""
        self._files: list[ResultFile] = []
        self._replay_sha256 = ""

    def stage(self, name: str, done: int, total: int, left_s: float | None = None) -> None:  # noqa: ARG002
        """Passes progress on, to a progress bar."""
        self._on_stage(name, done, total)

    def keep(self, path: Path, entry: ResultFile) -> ResultFile:
        """Copies a finished file in under its name, over an older one. Raises: OSError that names the user's file."""
        with path.open("rb") as made, taking_the_place_of(self.folder / entry.name) as file:
            shutil.copyfileobj(made, file, 2**20)
        (self._files if entry.shape is None else self.results).append(entry)
        if self._replay_sha256:
            self._note()
        return entry

    def resume(self, replay_sha256: str, samples: Iterable[Sequence[str]]) -> list[list[ResultFile]]:  # noqa: ARG002
        """As of `Sink`, by the notes of a stopped job: they know the samples by number, whatever their files are
        called. Without notes all volumes are made anew."""
        if not self._has_notes:
            return []
        finished = self._noted(replay_sha256)
        self.results = [file for files in finished for file in files if file.shape is not None]
        self._files = [file for files in finished for file in files if file.shape is None]
        self._replay_sha256 = replay_sha256
        return finished

    def finish(self) -> None:
        """Of a job that has ended well."""
        (self.folder / NOTES).unlink(missing_ok=True)

    def _note(self) -> None:
        so_far = Manifest(results=self.results, files=self._files, replay_sha256=self._replay_sha256)
        with taking_the_place_of(self.folder / NOTES) as file:
            file.write(so_far.model_dump_json().encode())

    def _noted(self, replay_sha256: str) -> list[list[ResultFile]]:
        """The files of the first samples that an attempt with that digest made and that are as they were."""
        try:
            notes = Manifest.model_validate_json((self.folder / NOTES).read_bytes())
        except (FileNotFoundError, ValidationError):
            return []
        if notes.replay_sha256 != replay_sha256:
            return []
        finished: list[list[ResultFile]] = []
        for volume in sorted(notes.results, key=lambda entry: entry.index):
            sample = [*(file for file in notes.files if file.name == volume.preview), volume]
            is_next = volume.index == len(finished) and len(sample) == (1 if volume.preview is None else 2)
            if not is_next or not all(map(self._is_whole, sample)):
                break
            finished.append(sample)
        return finished

    def _is_whole(self, entry: ResultFile) -> bool:
        path = self.folder / Path(entry.name).name
        return path.is_file() and path.stat().st_size == entry.size_bytes and sha256_of(path) == entry.sha256
