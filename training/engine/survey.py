"""A look at every scan of a data folder before anything is made of them: extents, values, twins. Needs no settings."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from model_store.folder import replacing
from training.engine.data import scans_in
from volumes.files import read
from volumes.intensity import QUANTILE_SAMPLES
from volumes.orientation import in_ras_order
from volumes.reader_limits import LARGEST
from volumes.two_files import as_one_file, take_bytes
from volumes.volume import Volume, VolumeError

LOG = logging.getLogger(__name__)
STEPS = 100
"""Quantiles of a scan's values are kept at every hundredth."""
LOOKS = 1
"""Which facts are taken, so that older ones are taken anew."""


class ScanFacts(BaseModel):
    """What is known of one scan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, int, int]
    extent_mm: tuple[float, float, float]
    """Of the field of view along X, Y, Z: right to left, front to back, down to up, in RAS order."""
    quantiles: tuple[float, ...]
    """Of its values but those of the background, the least one: the 0th to the 100th hundredth."""
    background: float
    """Share of voxels that have the least value."""
    voxels: str
    """Digest of shape and values: the same scan in another format or under another name has the same."""

    def share_outside(self, window: tuple[float, float]) -> float:
        """Of its values but the background, what a window cuts off, by hundredths."""
        values = np.array(self.quantiles)
        return float(((values < window[0]) | (values > window[1])).mean())

    def share_used(self, window: tuple[float, float]) -> float:
        """Of a window's width, what lies between the values' second and last but one hundredth."""
        low, high = np.clip([self.quantiles[1], self.quantiles[-2]], *window)
        return float((high - low) / (window[1] - window[0]))


@dataclass(frozen=True)
class Survey:
    """The scans of a folder by file name, and those that cannot be read, with the reason."""

    scans: dict[str, ScanFacts] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def twins(self) -> list[list[str]]:
        """Names of files that hold the same voxels."""
        by_voxels: dict[str, list[str]] = {}
        for name, facts in self.scans.items():
            by_voxels.setdefault(facts.voxels, []).append(name)
        return [names for names in by_voxels.values() if len(names) > 1]


def survey(folder: Path, cache: Path | None = None) -> Survey:
    """Look at all scans of a folder. What `cache` holds of a file with the same bytes is not found anew.

    Raises:
        DataRefused: there are none.
    """
    scans, unreadable = {}, {}
    for path in scans_in(folder):
        try:
            scans[path.name] = _facts(path, cache)
        except VolumeError as err:
            unreadable[path.name] = err.detail
    return Survey(scans, unreadable)


def middle_extent(scans: Sequence[ScanFacts]) -> tuple[float, float, float]:
    """Median of the extents along X, Y, Z."""
    x, y, z = np.median([facts.extent_mm for facts in scans], axis=0).tolist()
    return x, y, z


def _facts(path: Path, cache: Path | None) -> ScanFacts:
    """Raises: VolumeError."""
    if cache is None:
        return _seen(path)
    known_by = hashlib.sha256()
    take_bytes(path, known_by.update)
    noted = cache / f"{known_by.hexdigest()[:24]}.look{LOOKS}.json"
    try:
        return ScanFacts.model_validate_json(noted.read_bytes())
    except (OSError, ValidationError):
        facts = _seen(path)
    cache.mkdir(parents=True, exist_ok=True)
    with replacing(noted) as partial:
        partial.write_text(facts.model_dump_json())
    return facts


def _seen(path: Path) -> ScanFacts:
    with as_one_file(path) as whole:
        return facts_of(read(whole, LARGEST))


def facts_of(scan: Volume) -> ScanFacts:
    """Raises: VolumeError, where it has no finite value."""
    values = np.asarray(scan.array, dtype=np.float32)
    digest = hashlib.sha256(repr(scan.shape).encode() + np.ascontiguousarray(values).tobytes()).hexdigest()
    values = values[np.isfinite(values)]
    if not values.size:
        raise VolumeError("The scan has no finite value.")
    above = values[values > values.min()]
    shown = above if above.size else values
    thin = shown[:: 1 + shown.size // QUANTILE_SAMPLES]
    sides = [step * side for step, side in zip(scan.spacing_mm, scan.shape, strict=True)]
    return ScanFacts(
        shape=scan.shape,
        extent_mm=in_ras_order(sides, scan.axis_codes),
        quantiles=tuple(np.quantile(thin, np.linspace(0, 1, STEPS + 1)).tolist()),
        background=1 - above.size / values.size,
        voxels=digest[:24],
    )
