"""The picture of the thorax model under docs/images: classes beside one another, directions, reconstructions."""

import argparse
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from latents.sample import gaussian
from model_store.card import DirectionCard, ModelCard
from model_store.generator import Generator
from model_store.load import load
from training.demo.pictures import sheet
from training.demo.thorax_directions import in_hu, sample
from volumes.files import read
from volumes.preview import three_planes
from volumes.scan import preparation_by, prepare
from volumes.volume import Volume

PANEL_PX = 120
SOFT, LUNG = (-700.0, 500.0), (-1020.0, -700.0)
"""Windows in HU."""
STRENGTHS = (-2.0, -1.0, 1.0, 2.0)
Row = tuple[str, Sequence[Image.Image]]


def picture(volume: Volume, window: tuple[float, float]) -> Image.Image:
    """Three planes."""
    return Image.open(BytesIO(three_planes(volume, window, PANEL_PX)))


def class_rows(model: Generator, seeds: Sequence[int]) -> list[Row]:
    """Every seed in every class, once as bones and heart are seen and once as lungs are."""
    rows: list[Row] = []
    for seed in seeds:
        z = gaussian(seed, model.card.latent.z_dim, None)
        made = [sample(model, z, label) for label in range(len(model.card.classes))]
        for window in (SOFT, LUNG):
            ends = f"{window[0]:g} to {window[1]:g} HU"
            rows.append((f"seed {seed}, {ends}: {', '.join(model.card.classes)}", [picture(v, window) for v in made]))
    return rows


def direction_rows(model: Generator, folder: Path) -> list[Row]:
    """Seed 0, class healthy, moved along each shipped direction."""
    rows: list[Row] = []
    for path in sorted((folder / "directions").glob("*.json")):
        card = DirectionCard.model_validate_json(path.read_bytes())
        vector, z = torch.tensor(card.vector), gaussian(0, model.card.latent.z_dim, None)
        moved = [picture(sample(model, z + s * card.std * vector, 0), SOFT) for s in STRENGTHS]
        rows.append((f"{card.name}: strengths {', '.join(f'{s:g}' for s in STRENGTHS)}", moved))
    return rows


@torch.no_grad()
def reconstruction_rows(model: Generator, scans: Sequence[Path]) -> list[Row]:
    """Scan beside G(E(scan)) in class healthy, two scans a row."""
    pairs: list[tuple[str, list[Image.Image]]] = []
    for path in scans:
        array = prepare(read(path), preparation_by(model.card)).array
        z = model.encode(torch.from_numpy(array)[None, None])[0, 0]
        pairs.append(
            (
                path.name,
                [picture(in_hu(np.ascontiguousarray(array), model.card), SOFT), picture(sample(model, z, 0), SOFT)],
            )
        )
    rows: list[Row] = []
    for first in range(0, len(pairs), 2):
        part = pairs[first : first + 2]
        caption = ";  ".join(f"{name}: scan, reconstruction" for name, _ in part)
        rows.append((caption, [picture for _, pictures in part for picture in pictures]))
    return rows


def main() -> None:
    """Command line: the model's folder, the picture to write, scans that the model has not seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("scans", type=Path, nargs="*")
    arguments = parser.parse_args()
    model = load(arguments.folder, ModelCard.model_validate_json((arguments.folder / "card.json").read_bytes()))
    rows = class_rows(model, (0, 1)) + direction_rows(model, arguments.folder)
    sheet(rows + reconstruction_rows(model, arguments.scans)).save(arguments.out)


if __name__ == "__main__":
    main()
