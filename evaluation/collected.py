"""A set of volumes as it is measured: names, features, and the files that hold the rest, opened when asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationRefused
from evaluation.part import Part, read, write
from evaluation.samples import Sample, Samples, Seen

OnVolume = Callable[[str, int, int], None]
"""(side, done, total)."""


@dataclass(frozen=True)
class Collected:
    """One side of a comparison."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    paths: tuple[Path, ...]

    def part(self, index: int) -> Part:
        found = read(self.paths[index])
        if found is None:
            raise EvaluationRefused("a file of the evaluation was removed while it ran; run it again")
        return found

    @cached_property
    def features(self) -> NDArray[np.float64]:
        """(n, d)."""
        return np.stack([self.part(k).features for k in range(len(self.paths))]).astype(np.float64)

    @cached_property
    def tiny(self) -> NDArray[np.float64]:
        """(n, 32^3)."""
        return np.stack([self.part(k).tiny for k in range(len(self.paths))]).astype(np.float64)

    @cached_property
    def details(self) -> NDArray[np.float64]:
        """(n,); NaN where there is none."""
        return np.array([float(self.part(k).detail) for k in range(len(self.paths))])

    @cached_property
    def extents_mm(self) -> NDArray[np.float64]:
        """(n, 3)."""
        return np.stack([self.part(k).extent_mm for k in range(len(self.paths))])

    @cached_property
    def lowest(self) -> NDArray[np.float64]:
        """(n,): of each volume's stored values."""
        return np.array([float(self.part(k).range[0]) for k in range(len(self.paths))])

    @cached_property
    def whole(self) -> NDArray[np.bool_]:
        """(n,): which had finite values alone."""
        return np.array([bool(self.part(k).is_whole) for k in range(len(self.paths))])

    @cached_property
    def histogram(self) -> NDArray[np.float64]:
        """(64,): mean over the volumes."""
        total = np.zeros_like(self.part(0).histogram)
        for k in range(len(self.paths)):
            total += self.part(k).histogram
        mean: NDArray[np.float64] = total / len(self.paths)
        return mean


@dataclass(frozen=True)
class Measuring:
    """What is done with each volume, and by what mark its file is known."""

    mark: str
    of: Callable[[Seen], Part]
    folder: Path


def collect(side: str, samples: Samples, how: Measuring, on_volume: OnVolume) -> Collected:
    """One volume after another; what an earlier run left in the folder is not made again.

    Raises:
        EvaluationRefused: a scan that cannot be compared.
    """
    names, keys, paths = [], [], []
    on_volume(side, 0, len(samples))
    for done, sample in enumerate(samples, 1):
        path = how.folder / f"{sample.key[:24]}-{how.mark[:16]}.npz"
        if read(path) is None:
            _make(sample, how, path)
        names.append(sample.name)
        keys.append(sample.key)
        paths.append(path)
        on_volume(side, done, len(samples))
    return Collected(tuple(names), tuple(keys), tuple(paths))


def _make(sample: Sample, how: Measuring, path: Path) -> None:
    part = how.of(sample.make())
    if not np.isfinite(part.features).all():
        raise EvaluationRefused(f"the features of {sample.name} are not finite")
    write(path, part)
