"""A data set: as many jobs as it takes, each to its end once, and the manifests of what is there."""

import errno
import json
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Unpack

import numpy as np

from model_store.integrity import sha256_of
from volumes.attributes import measure
from volumes.files import read
from volumes.formats import BY_NAME
from volumes.volume import Volume
from voxelsmith.dataset.folder import DataSetFolder, Row, write_json
from voxelsmith.dataset.layouts import LAYOUTS, write_table
from voxelsmith.dataset.plan import Piece, Plan, Wishes, planned, voxels_of
from voxelsmith.problems import DataSetRefused, DiskFull, JobStopped

LEAST_SHARE = 0.1
"""Of their voxels' bytes: what volumes that pack well take."""
AHEAD = 3
"""Jobs that a server may have beside the one that is waited for."""
_ROWS = "rows.json"

OnVolume = Callable[[int, int, float | None], object]
"""Gets how many volumes are there, of how many, and the seconds left where they can be told."""


class Maker(Protocol):
    """Who does the jobs: this process, or a server."""

    def card(self, model: str) -> Mapping[str, Any]:
        """As of GET /models/{name}. Raises: what tells that there is none."""

    def expect(self, pieces: Iterable[Piece]) -> None:
        """Jobs that come next, in order."""

    def make(self, piece: Piece, folder: Path, on_done: Callable[[int], object]) -> None:
        """A job's files into `folder`, its provenance.json last. What an interrupted attempt left there is gone on
        with; of a job that somebody else stopped it may be some of the volumes. `on_done` gets how many are made."""

    def forget(self, piece: Piece) -> None:
        """Of a job whose volumes are in the data set."""


class Pace:
    """Tells how far a data set is, with the time left by the volumes made since the command began."""

    def __init__(self, on_volume: OnVolume, done: int, total: int) -> None:
        self._tell, self._first, self._total = on_volume, done, total
        self.done = done
        self._begun = time.monotonic()
        on_volume(done, total, None)

    def __call__(self, done: int) -> None:
        self.done, made = done, done - self._first
        spent = time.monotonic() - self._begun
        self._tell(done, self._total, spent * (self._total - done) / made if made > 0 else None)

    def within_job(self, before: int, made: int) -> None:
        self(before + made)


def make_dataset(
    model: str, out: Path, maker: Maker, on_volume: OnVolume = lambda *_: None, **wishes: Unpack[Wishes]
) -> Plan:
    """Makes what is not there yet of a data set, and its manifests.

    Raises: DataSetRefused; DiskFull, before a job that cannot fit and where the disk is full nevertheless; what jobs
    raise.
    """
    card = maker.card(model)
    wished = planned(card, **wishes)
    folder = DataSetFolder(out)
    with folder.opened():
        plan = folder.agree(wished, is_seed_given=wishes.get("seed") is not None)
        done = {int(row["index"]): int(row["size_bytes"]) for row in folder.rows()}
        pace = Pace(on_volume, len(done), plan.count)
        try:
            _make_missing(plan, folder, maker, pace, done, _least_bytes(card, plan))
            _describe(plan, folder)
            folder.clear()
        except OSError as err:
            is_here = err.filename is not None and Path(str(err.filename)).is_relative_to(out)
            if not is_here or err.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            told = f"the disk of {out} is full: {pace.done} of {plan.count} volumes are made"
            raise DiskFull(f"{told}; with more room the same command goes on after them") from err
    return plan


def _make_missing(
    plan: Plan, folder: DataSetFolder, maker: Maker, pace: Pace, done: dict[int, int], least_bytes: int
) -> None:
    """`done`: from the index of each volume that is there to its size in bytes."""
    pieces = plan.jobs(done)
    coming = deque(islice(pieces, 1 + AHEAD))
    while coming:
        left: Piece | None = coming.popleft()
        while left is not None:
            _check_room(folder.root, plan.count - len(done), done, least_bytes)
            maker.expect([left, *coming])
            rows = _made(left, folder, maker, partial(pace.within_job, len(done)))
            done |= {int(row["index"]): int(row["size_bytes"]) for row in rows}
            pace(len(done))
            left = left.without(done)
        coming.extend(islice(pieces, 1))


def _least_bytes(card: Mapping[str, Any], plan: Plan) -> int:
    """Of one volume, however well it packs; of a cropped one nobody knows."""
    if plan.output.crop is not None:
        return 0
    share = LEAST_SHARE if BY_NAME[plan.output.format].is_packed else 1.0
    return int(voxels_of(card, plan) * np.dtype(plan.output.dtype).itemsize * share)


def _check_room(out: Path, count: int, done: Mapping[int, int], least_bytes: int) -> None:
    """By the volumes that are there, or else by the least that one can take. Raises: DiskFull."""
    each = sum(done.values()) // len(done) if done else least_bytes
    free = shutil.disk_usage(out).free
    if free < count * each:
        sizes = f"has room for {free / 2**20:.3g} MiB; the {count} volumes to come take about"
        raise DiskFull(f"{out} {sizes} {count * each / 2**20:.3g} MiB, {len(done)} are made")


def _made(piece: Piece, folder: DataSetFolder, maker: Maker, on_done: Callable[[int], object]) -> Sequence[Row]:
    """One job to its end. Its rows are written before its files move, so that a stop in between loses none."""
    making = folder.making(piece)
    told = making / _ROWS
    if not told.is_file():
        found = _finished(piece, making)
        if len(found) < len(piece.indices):
            maker.make(piece, making, on_done)
            found = _finished(piece, making)
        if not found:
            raise JobStopped(f"the job of volumes {piece.name} left nothing")
        rows = [_row(piece.plan, index, making / found[index][0], *found[index][1:]) for index in found]
        names = {str(row["file"]): found[row["index"]][0] for row in rows}
        write_json(told, {"rows": rows, "names": names})
    record = json.loads(told.read_text())
    folder.finish(piece, record["rows"], record["names"])
    maker.forget(piece)
    return list(record["rows"])


def _finished(piece: Piece, making: Path) -> dict[int, tuple[str, dict[str, Any], float | None]]:
    """The volumes that a job's provenance.json tells of and that are whole: by index the file's name, what it was
    made with, and its realism. Raises: DataSetRefused, where another model made them."""
    try:
        told = json.loads((making / "provenance.json").read_bytes())
    except FileNotFoundError:
        return {}
    if told["model"]["sha256"] != piece.plan.model_sha256:
        raise DataSetRefused("the model's weights have changed while the data set was made; name a new folder")
    versions = told["software"]
    made_with = {"software": versions["version"], "torch": versions["torch"], **told["device"]}
    found: dict[int, tuple[str, dict[str, Any], float | None]] = {}
    for entry in told["results"]:
        name, index = Path(entry["name"]).name, entry["latent"]["seed"] - piece.plan.seed
        if index in piece.indices and _is_whole(making / name, entry["sha256"]):
            found[index] = name, made_with, entry.get("realism")
    return found


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def _row(plan: Plan, index: int, path: Path, made_with: Mapping[str, Any], realism: float | None) -> Row:
    row: Row = {
        "file": LAYOUTS[plan.layout].place(plan, index),
        "index": index,
        "seed": plan.seed + index,
        "class": plan.class_of(index),
        "size_bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "made_with": made_with,
    }
    volume: Volume | None = None
    for how in plan.measures:
        if how.name == "realism":
            row[how.column] = realism
            continue
        volume = volume or read(path)
        row[how.column] = measure(volume, how.name, how.threshold)
    return row


def _describe(plan: Plan, folder: DataSetFolder) -> None:
    """The layout's own files, and last the manifests: where they are, all that they tell of is there. Raises:
    OSError."""
    rows = folder.rows()
    LAYOUTS[plan.layout].describe(plan, rows, folder.root)
    columns = ["file", "index", "seed", "class", "size_bytes", "sha256", *(how.column for how in plan.measures)]
    write_table(folder.root / "manifest.csv", columns, rows)
    about = plan.model_dump(mode="json", exclude={"id"}) | {"synthetic": True, "volumes": rows}
    write_json(folder.root / "manifest.json", about)
