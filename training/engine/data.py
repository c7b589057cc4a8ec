"""A folder of scans as training volumes: prepared once as the card says, cached, augmented by position in the run."""

import csv
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import torch
from monai.transforms import Compose, RandAdjustContrast, RandAffine, RandGaussianNoise
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model_store.folder import replacing
from training.engine.errors import DataRefused
from volumes.dicom.signs import is_series_folder
from volumes.files import read
from volumes.formats import READABLE_HERE, is_readable, is_readable_here
from volumes.intensity import Range
from volumes.orientation import in_network_order
from volumes.reader_limits import LARGEST
from volumes.scan import Preparation, prepare
from volumes.two_files import as_one_file, take_bytes
from volumes.volume import Volume, VolumeError

LOG = logging.getLogger(__name__)
READING = 3
"""Which way scans are read, so that what was prepared another way is prepared anew: 2 since form codes of 0 are LAS, 3
since a place that MetaImage calls ImagePosition counts, and a slope of 0 in DICOM does not."""
BESIDE_SCANS = {".csv", ".json", ".txt", ".md", ".bval", ".bvec"}
MOST_NAMED = 10
BESIDE_PREPARED = ".grid.json"
Spacing = tuple[float, float, float]


class Prepares(Protocol):
    """How a scan comes to a network: a frozen dataclass whose fields are all that decides it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the network's grid, at most."""

    @property
    def network_range(self) -> Range: ...

    def array(self, scan: Volume) -> NDArray[np.float32]:
        """The scan as the network sees it. Raises: VolumeError."""


class PreparesWithMask(Prepares, Protocol):
    """The same of families that learn from masks beside their scans."""

    def masked_array(self, scan: Volume, mask: Volume) -> NDArray[np.float32]:
        """The scan with what the mask marks in it. Raises: VolumeError."""


@dataclass(frozen=True)
class Scans:
    """Prepared scans: files of float16 (A0, A1, A2) in a network's range; one label each where there are classes."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...] | None
    network_range: Range
    spacings_mm: tuple[Spacing, ...] = ()
    """Of the network's grid over each scan, along A0, A1, A2; none where each scan has a grid of its own."""


def scans_in(folder: Path) -> list[Path]:
    """The scans of a folder by name; of one in two files its header, of a DICOM series its folder.

    Raises: DataRefused, where there are none.
    """
    files = sorted(path for path in folder.iterdir() if is_readable_here(path.name) or is_series_folder(path))
    if not files:
        lie_below = any(is_readable_here(path.name) for path in folder.glob("*/**/*"))
        below = "; those in folders below it are not taken" if lie_below else ""
        raise DataRefused(f"no scans ({', '.join(READABLE_HERE)}) in the data folder{below}")
    return files


def prepare_folder(
    folder: Path, cache: Path, how: Prepares, classes: Sequence[str] = (), skip_unreadable: bool = False,
    masks: Path | None = None,
) -> Scans:  # fmt: skip
    """Every scan of `folder` on the network's grid. What `cache` holds, prepared the same way, is not made again.

    With `skip_unreadable` those that cannot be read are left out, and the log says which and why. `masks`: a folder of
    masks by the names of their scans, for a `how` that takes such.

    Raises:
        DataRefused: no scans, unreadable ones, all of which it names, or labels that do not fit `classes`.
    """
    files = scans_in(folder)
    labels = _read_labels(folder / "labels.csv", files, classes) if classes else None
    cache.mkdir(parents=True, exist_ok=True)
    recipe = json.dumps([READING, asdict(how)], sort_keys=True)
    prepared: dict[int, Path] = {}
    beside = masks_of(files, masks) if masks is not None else {}
    unreadable = []
    for place, path in enumerate(files):
        try:
            prepared[place] = _prepare_file(path, cache, how, recipe, beside.get(path.name))
        except VolumeError as err:
            unreadable.append(f"{path.name}: {err.detail}")
    _tell_of_unreadable(unreadable, len(files), skip_unreadable)
    _tell_of_others(folder, files)
    kept = None if labels is None else tuple(labels[place] for place in prepared)
    spacings = [_spacing(path) for path in prepared.values()]
    return Scans(tuple(prepared.values()), kept, how.network_range, tuple(s for s in spacings if s is not None))


def masks_of(scans: Sequence[Path], folder: Path) -> dict[str, Path]:
    """The masks of a folder by the names of the scans whose names they have; a scan may have none.

    Raises: DataRefused, where there is none, or one of no scan.
    """
    masks, names = {path.name: path for path in scans_in(folder)}, {path.name for path in scans}
    strays = sorted(masks.keys() - names)
    if strays:
        raise DataRefused(f"a mask has the name of its scan; there is no scan {strays[0]} ({len(strays)} such files)")
    return masks


def _spacing(prepared: Path) -> Spacing | None:
    """What lies beside a prepared scan."""
    a0, a1, a2 = json.loads(prepared.with_suffix(BESIDE_PREPARED).read_bytes())["spacing_mm"] or (0, 0, 0)
    return (a0, a1, a2) if a0 else None


def _tell_of_unreadable(unreadable: Sequence[str], count: int, may_go_on: bool) -> None:
    """Raises: DataRefused."""
    if not unreadable:
        return
    told = f"{len(unreadable)} of {count} scans cannot be used:\n" + "\n".join(unreadable)
    if len(unreadable) == count:
        raise DataRefused(told)
    if not may_go_on:
        raise DataRefused(f"{told}\nTake them out of the folder, or leave them out with --skip-unreadable")
    LOG.warning("left out: %s", told)


def _tell_of_others(folder: Path, files: Sequence[Path]) -> None:
    """Files that might have been meant as scans: all but labels, hidden ones and the voxels beside a header."""
    stems = {path.name.partition(".")[0] for path in files if not is_readable(path.name)}
    others = [
        path.name
        for path in sorted(folder.iterdir())
        if path.is_file() and path not in files and path.suffix.lower() not in BESIDE_SCANS
        and path.name[0] != "." and path.name.partition(".")[0] not in stems
    ]  # fmt: skip
    if others:
        shown = ", ".join(others[:MOST_NAMED]) + (", ..." if len(others) > MOST_NAMED else "")
        LOG.warning("%d files of the data folder are in no format that is read: %s", len(others), shown)


def _prepare_file(path: Path, cache: Path, how: Prepares, recipe: str, mask: Path | None) -> Path:
    """Raises: VolumeError."""
    known_by = hashlib.sha256()
    for one in (path, *([] if mask is None else [mask])):
        take_bytes(one, known_by.update)
    known_by.update(recipe.encode())
    target = cache / f"{known_by.hexdigest()[:24]}.npy"
    beside = target.with_suffix(BESIDE_PREPARED)
    if target.exists() and beside.exists():
        return target
    scan = _read(path)
    for sentence in scan.assumed:
        LOG.warning("%s: %s", path.name, sentence)
    array, spacing = _laid(scan, how, None if mask is None else _read(mask))
    with replacing(beside) as partial:
        partial.write_text(json.dumps({"spacing_mm": spacing}))
    with replacing(target) as partial, partial.open("wb") as file:
        np.save(file, array.astype(np.float16))
    return target


def _read(path: Path) -> Volume:
    """Raises: VolumeError."""
    with as_one_file(path) as whole:
        return read(whole, LARGEST)


def _laid(scan: Volume, how: Prepares, mask: Volume | None) -> tuple[NDArray[np.float32], Spacing | None]:
    """The scan as the network sees it, and the voxel size that its grid has over this scan."""
    if mask is not None:
        return cast("PreparesWithMask", how).masked_array(scan, mask), None
    if not isinstance(how, Preparation):
        return how.array(scan), None
    seen = prepare(scan, how)
    return seen.array, in_network_order(seen.grid.spacing_mm, how.axes)


def _read_labels(path: Path, files: Sequence[Path], classes: Sequence[str]) -> tuple[int, ...]:
    """labels.csv: a header, then file name and label (a class's name or index) in the first two columns."""
    if not path.exists():
        raise DataRefused("a conditional model needs labels.csv in the data folder")
    with path.open(newline="") as file:
        rows = {row[0]: row[1] for row in list(csv.reader(file))[1:] if len(row) >= 2}
    names = {name: index for index, name in enumerate(classes)} | {str(k): k for k in range(len(classes))}
    missing = [file.name for file in files if rows.get(file.name) not in names]
    if missing:
        raise DataRefused(f"labels.csv has no known class for {missing[0]} ({len(missing)} such files)")
    return tuple(names[rows[file.name]] for file in files)


def light_augmentation(shape: tuple[int, int, int]) -> Compose:
    """Small shifts, turns, scalings, contrast and noise, as a MONAI pipeline on (1, A0, A1, A2)."""
    return Compose(
        [
            RandAffine(
                prob=0.8,
                rotate_range=(0.07, 0.07, 0.07),
                shear_range=(0.02,) * 6,
                translate_range=tuple(size * 0.02 for size in shape),
                scale_range=(0.06, 0.06, 0.06),
                mode="bilinear",
                padding_mode="border",
            ),
            RandAdjustContrast(prob=0.3, gamma=(0.85, 1.18)),
            RandGaussianNoise(prob=0.2, std=0.01),
        ]
    )


class TrainingVolumes(Dataset[tuple[Tensor, int]]):
    """Item i is a function of (seed, i) alone, so that a resumed run sees what an unbroken one would have seen."""

    def __init__(self, scans: Scans, seed: int, augmentation: Compose | None = None) -> None:
        self.scans, self.seed, self.augmentation = scans, seed, augmentation

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """((1, *shape) float32 in the network's range, label or -1)."""
        epoch, place = divmod(index, len(self.scans.paths))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.scans.paths))
        chosen = int(order[place])
        volume = torch.from_numpy(_load(self.scans.paths[chosen]))[None]
        if self.augmentation is not None:
            # numpy's own integers: MONAI takes a 32-bit seed
            seed = int(np.random.default_rng([self.seed, index, 1]).integers(2**32))
            changed = self.augmentation.set_random_state(seed=seed)(volume)
            # MONAI's own kind of tensor carries a history that every operation of the training would drag along
            volume = changed.as_subclass(torch.Tensor).clamp(*self.scans.network_range)
        return volume, -1 if self.scans.labels is None else self.scans.labels[chosen]


def _load(path: Path) -> NDArray[np.float32]:
    array: NDArray[np.float32] = np.load(path).astype(np.float32)
    return array


def batches(
    volumes: Dataset[tuple[Tensor, int]], batch_size: int, first: int, last: int, workers: int
) -> Iterator[list[Tensor]]:
    """The batches of iterations [first, last): [(n, 1, *shape), (n,) labels] each."""
    loader = DataLoader(
        volumes,
        batch_size=batch_size,
        sampler=range(first * batch_size, last * batch_size),
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return iter(loader)
