"""Table V of HA-GAN's paper: whether generated volumes help a classifier that has few real ones."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.studies.markdown import markdown

REAL, GENERATED, MORE = "real alone", "and generated", "and as many more real"
PAPER = {REAL: 59.7, GENERATED: 62.9}
"""Accuracy in per cent; 61.7 with alpha-GAN."""
SHARE = 0.2
"""Of generated volumes in the augmented set (section IV-C)."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Row:
    """One training set's classifiers, one for each seed."""

    method: str
    accuracies: tuple[float, ...]
    gain: tuple[float, float, float] | None
    """Over real volumes alone, seed by seed: mean and the 95% interval by Student's t; None where there is no pair
    of seeds."""

    @property
    def mean(self) -> float:
        return float(np.mean(self.accuracies))

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"mean": self.mean, "paper": PAPER.get(self.method)}


def rows(found: Mapping[str, Sequence[float]]) -> list[Row]:
    """Of the accuracies by method, each in the order of seeds."""
    return [Row(name, tuple(each), None if name == REAL else gain(found[REAL], each)) for name, each in found.items()]


def gain(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float] | None:
    """Mean of the differences and its interval."""
    differences = np.subtract(after, before)
    if len(differences) < 2:
        return None
    middle, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)) * error
    return middle, middle - reach, middle + reach


def labels_as(real: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Labels (count,) in order, each class as often as in `real` as nearly as can be."""
    places = (np.arange(count) * 2 + 1) * len(real) // (2 * count)
    spread: NDArray[np.int64] = np.sort(real)[places]
    return spread


def table(found: Sequence[Row]) -> str:
    """Markdown, in per cent."""
    head = ("trained on", "accuracy", "least to largest", "gain over real alone [95%]", "paper")
    return markdown(head, [_line(row) for row in found])


def _line(row: Row) -> tuple[str, ...]:
    gained = "" if row.gain is None else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * value for value in row.gain))
    ends = f"{100 * min(row.accuracies):.1f} to {100 * max(row.accuracies):.1f}"
    paper = PAPER.get(row.method)
    return row.method, f"{100 * row.mean:.1f}", ends, gained, "" if paper is None else f"{paper:.1f}"
