"""The picture of the shipped translator under docs/images: scans, what `voxelsmith translate` made of them, and the
same patient's real scan of the target domain."""

import argparse
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from training.demo.pictures import PANEL_PX, sheet
from volumes.files import read
from volumes.intensity import window_of
from volumes.preview import three_planes

QUANTILES = (0.0, 0.998)
"""Of a scan: from black to white."""


def picture_of(path: Path) -> Image.Image:
    """Three planes of a file, by its own brightness."""
    volume = read(path)
    window = window_of(np.asarray(volume.array, np.float32), QUANTILES)
    return Image.open(BytesIO(three_planes(volume, window, PANEL_PX)))


def translations_sheet(real: Path, pairs: Sequence[tuple[Path, Path]]) -> Image.Image:
    """A scan and its translation a row; last the real scan."""
    rows = [(f"{scan.name}: scan, translation", [picture_of(scan), picture_of(made)]) for scan, made in pairs]
    return sheet([*rows, (f"{real.name}: scan", [picture_of(real)])])


def main() -> None:
    """Command line: where the picture goes, the real scan, then scan and translation by turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("real", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    pairs = list(zip(arguments.files[::2], arguments.files[1::2], strict=True))
    translations_sheet(arguments.real, pairs).save(arguments.out)


if __name__ == "__main__":
    main()
