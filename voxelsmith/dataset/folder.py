"""The folder of a data set: its plan, what of it is finished, and the one command that works on it.

`.voxelsmith-dataset/` in it holds plan.json, a file of rows for each finished job in done/, and in making/ the files of
the job that is at work, as `generate` leaves them (docs/decisions/0058).
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model_store.folder import held
from volumes.whole_file import taking_the_place_of
from voxelsmith.dataset.plan import Piece, Plan
from voxelsmith.problems import DataSetRefused

HIDDEN = ".voxelsmith-dataset"
Row = dict[str, Any]
_REASONS = {
    "model_sha256": "the model's weights have changed",
    "output": "its volumes have another format, type or grid",
}
"""What differs, where it is no option of that name."""


class DataSetFolder:
    """`root` while one command works on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._hidden = root / HIDDEN
        self._plan, self._done, self._making = (self._hidden / name for name in ("plan.json", "done", "making"))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Raises: DataSetRefused, where it holds something else or another command works on it; OSError."""
        if self.root.is_dir() and not self._hidden.is_dir() and any(self.root.iterdir()):
            raise DataSetRefused(f"{self.root} is not empty and holds no data set; name a new folder")
        for folder in (self._done, self._making):
            folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self._hidden))
            except BlockingIOError as err:
                raise DataSetRefused(f"another command is making the data set in {self.root}") from err
            yield

    def agree(self, wished: Plan, *, is_seed_given: bool) -> Plan:
        """The plan to follow: the one that is here, as long as wished or longer. Where nothing is made it binds nobody.

        Raises: DataSetRefused, where this is another data set.
        """
        plan = wished
        if self._plan.is_file() and (any(self._done.iterdir()) or any(self._making.iterdir())):
            known = self._known()
            plan = wished if is_seed_given else wished.model_copy(update={"seed": known.seed})
            reasons = [_REASONS.get(name, f"{name} differs") for name in known.differs(plan)]
            if reasons:
                told = ", ".join(reasons)
                raise DataSetRefused(f"{self.root} holds another data set: {told}. Name a new folder for this one")
            plan = known.model_copy(update={"count": max(plan.count, known.count)})
            if plan == known:
                return known
        write_json(self._plan, plan.model_dump(mode="json"))
        return plan

    def _known(self) -> Plan:
        try:
            return Plan.model_validate_json(self._plan.read_bytes())
        except ValidationError as err:
            raise DataSetRefused(f"the plan of the data set in {self.root} cannot be read; name a new folder") from err

    def rows(self) -> list[Row]:
        """Of all finished volumes that are there, in order."""
        found = [row for path in self._done.glob("*.json") for row in json.loads(path.read_text())]
        there = {int(row["index"]): row for row in found if self._is_there(row)}
        return [there[index] for index in sorted(there)]

    def _is_there(self, row: Row) -> bool:
        path = self.root / str(row["file"])
        return path.is_file() and path.stat().st_size == row["size_bytes"]

    def making(self, piece: Piece) -> Path:
        """Where a job's files come first."""
        return self._making / piece.name

    def finish(self, piece: Piece, rows: Sequence[Row], names: Mapping[str, str]) -> None:
        """Brings a job's volumes to their places. What is interrupted is done again from its start, and finds those
        that have moved already. `names`: from a row's file to its name among the job's."""
        making = self.making(piece)
        for row in rows:
            place, made = self.root / str(row["file"]), making / names[str(row["file"])]
            place.parent.mkdir(parents=True, exist_ok=True)
            if made.is_file():
                made.replace(place)
        write_json(self._done / f"{piece.name}.json", list(rows))
        shutil.rmtree(making, ignore_errors=True)

    def clear(self) -> None:
        """Of what an older attempt left of jobs that are finished."""
        for folder in self._making.iterdir():
            shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all. Raises: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with taking_the_place_of(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())
