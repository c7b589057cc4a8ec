"""A folder of thorax phantoms with their truth in labels.csv: a data set for training and for tests."""

import csv
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from training.phantoms.phantom import SHAPE, SPACING_MM, thorax
from volumes.files import write
from volumes.volume import Volume

LABELS = "labels.csv"
WINDOW = (-1024.0, 600.0)


@dataclass(frozen=True)
class Row:
    """One line of labels.csv."""

    file: str
    severity: int
    lung_volume_ml: float
    bone_volume_ml: float
    seed: int


def write_dataset(
    folder: Path,
    count: int,
    seed: int = 0,
    *,
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    severity: int | None = None,
    on_written: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005 -- names for the caller
) -> list[Row]:
    """Writes the phantoms of seeds seed .. seed + count - 1 as thorax-<seed>.nii.gz and, last, labels.csv.

    Args:
        severity: of all; drawn from each seed where None.
        on_written: called with (written, count) after each volume.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(seed, seed + count):
        phantom = thorax(number, shape, spacing_mm, severity)
        row = Row(
            f"thorax-{number:05d}.nii.gz",
            phantom.severity,
            round(phantom.lung_volume_ml, 3),
            round(phantom.bone_volume_ml, 3),
            number,
        )
        provenance = {"model": "thorax phantom", "seed": number, "severity": phantom.severity}
        volume = Volume(phantom.array, phantom.affine)
        write(volume, folder / row.file, format="nii.gz", window=WINDOW, provenance=provenance)
        rows.append(row)
        on_written(len(rows), count)
    unfinished = folder / f".{LABELS}"
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow([field.name for field in fields(Row)])
        lines.writerows(astuple(row) for row in rows)
    unfinished.rename(folder / LABELS)
    return rows
