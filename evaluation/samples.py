"""Where volumes come from: a folder of scans, or a model's seeds. Both come to one grid, one volume at a time."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.distances.detail import Spacing
from evaluation.errors import EvaluationRefused
from latents.sample import gaussian
from latents.truncate import toward_mean
from model_store.card import ModelCard
from model_store.generator import Generator
from volumes.dicom.signs import is_series_folder
from volumes.files import read
from volumes.formats import READABLE_HERE, is_readable_here
from volumes.orientation import from_network, in_ras_order
from volumes.reader_limits import LARGEST
from volumes.scan import Preparation, prepare
from volumes.two_files import as_one_file, take_bytes
from volumes.volume import Volume, VolumeError


@dataclass(frozen=True, eq=False)
class Seen:
    """A volume as both sides are compared: (X, Y, Z) in [0, 1], RAS order, and what it was before."""

    unit: NDArray[np.float32]
    extent_mm: Spacing
    stored: tuple[float, float]
    """Lowest and highest value of the file, or of the model's own units."""
    is_whole: bool = True
    """Whether all its values were finite; those that were not are background."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A volume to come. `key` says all that decides it."""

    name: str
    key: str
    make: Callable[[], Seen]


class Samples(Protocol):
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Sample]: ...


class Folder:
    """The scans of a folder by name, prepared alike."""

    def __init__(self, folder: Path, how: Preparation, is_strict: bool = False) -> None:
        """`is_strict`: values that are not finite are refused, as of what a model made. Raises: EvaluationRefused."""
        self.paths = scans_in(folder)
        self.how, self.is_strict = how, is_strict

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Sample]:
        recipe = json.dumps(asdict(self.how), sort_keys=True).encode()
        for path in self.paths:
            yield Sample(name_of(path), hashlib.sha256(recipe + _digest(path)).hexdigest(), partial(self._seen, path))

    def _seen(self, path: Path) -> Seen:
        """Raises: EvaluationRefused, naming the scan."""
        try:
            scan = opened(path)
            finite = np.isfinite(scan.array)
            is_whole = bool(finite.all())
            if not is_whole and self.is_strict:
                raise EvaluationRefused(f"{path.name} has voxels that are not finite")
            if not finite.any():
                raise EvaluationRefused(f"{path.name} has no finite voxel")
            values = scan.array if is_whole else scan.array[finite]
            prepared = prepare(scan, self.how)
        except VolumeError as err:
            raise EvaluationRefused(f"{path.name}: {err.detail}") from err
        low, high = self.how.network_range
        unit = np.asarray((prepared.seen.array - low) / (high - low), np.float32)
        return Seen(unit, extent_of(scan), (float(values.min()), float(values.max())), is_whole)


class Made:
    """A model's samples of seeds seed .. seed + count - 1; the model is loaded when the first one is needed."""

    def __init__(
        self,
        card: ModelCard,
        load: Callable[[], Generator],
        count: int,
        seed: int,
        truncation: float | None,
        class_label: int | None,
    ) -> None:
        """`class_label` None takes the classes of a conditional model in turn."""
        self.card, self.load, self.count, self.seed = card, load, count, seed
        self.truncation = card.truncation.default if truncation is None else truncation
        self.class_label = class_label

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Sample]:
        for k in range(self.count):
            seed, label = self.seed + k, self._label(k)
            decided = [self.card.fingerprint, seed, self.truncation, label]
            key = hashlib.sha256(json.dumps(decided).encode()).hexdigest()
            name = f"seed {seed}" if label is None else f"seed {seed} {self.card.classes[label]}"
            yield Sample(name, key, partial(self._seen, seed, label))

    def _label(self, k: int) -> int | None:
        if not self.card.classes:
            return None
        return k % len(self.card.classes) if self.class_label is None else self.class_label

    @torch.inference_mode()
    def _seen(self, seed: int, label: int | None) -> Seen:
        """As `voxelsmith generate` makes it of the seed. Raises: EvaluationRefused, for values that are not finite."""
        model, card = self.load(), self.card
        is_psi = card.truncation.kind == "psi"
        w = model.map(gaussian(seed, card.latent.z_dim, None if is_psi else self.truncation)[None], label)
        if is_psi and self.truncation is not None:
            w = toward_mean(w, model.mean_style(), self.truncation, card.truncation.cutoff)
        array = model.synthesise(w, None)[0, 0].float().cpu().numpy()
        if not np.isfinite(array).all():
            raise EvaluationRefused("the model gave values that are not finite")
        low, high = card.intensity.network_range
        unit = np.clip((array - low) / (high - low), 0, 1).astype(np.float32)
        sides = np.array(in_ras_order(card.shape, card.axes)) * np.array(in_ras_order(card.spacing_mm, card.axes))
        span = card.intensity.high - card.intensity.low
        ends = (card.intensity.low + span * float(unit.min()), card.intensity.low + span * float(unit.max()))
        return Seen(from_network(unit, card.axes), (float(sides[0]), float(sides[1]), float(sides[2])), ends)


def scans_in(folder: Path) -> list[Path]:
    """By name; of a volume in two files its header, of a DICOM series its folder.

    Raises: EvaluationRefused, where there are none.
    """
    if not folder.is_dir():
        raise EvaluationRefused(f"{folder.name} is no folder")
    found = sorted(path for path in folder.iterdir() if is_readable_here(path.name) or is_series_folder(path))
    if not found:
        raise EvaluationRefused(f"there are no scans ({', '.join(READABLE_HERE)}) in {folder.name}")
    return found


def name_of(path: Path) -> str:
    """A file's or a folder's name as text that every file can hold: bytes that are no UTF-8 are replaced."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def opened(path: Path) -> Volume:
    """A scan of the user's own. Raises: VolumeError."""
    with as_one_file(path) as whole:
        return read(whole, LARGEST)


def extent_of(scan: Volume) -> Spacing:
    """The field of view along R, A, S in mm."""
    edges = np.abs(scan.affine[:3, :3] @ np.diag(scan.shape)).max(axis=1)
    return float(edges[0]), float(edges[1]), float(edges[2])


def _digest(path: Path) -> bytes:
    """Raises: EvaluationRefused."""
    try:
        known_by = hashlib.sha256()
        take_bytes(path, known_by.update)
        return known_by.digest()
    except VolumeError as err:
        raise EvaluationRefused(f"{path.name}: {err.detail}") from err
