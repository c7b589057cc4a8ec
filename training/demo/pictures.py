"""The pictures of the demo model under docs/images: samples, reconstructions, and a sweep along each direction."""

import argparse
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from latents.sample import gaussian
from model_store.card import DirectionCard, ModelCard
from model_store.generator import Generator
from model_store.load import load
from volumes.files import read
from volumes.grids.grid import from_network, own_grid
from volumes.intensity import to_stored
from volumes.preview import three_planes
from volumes.scan import preparation_by, prepare
from volumes.volume import Volume

PANEL_PX = 160
STRENGTHS = (-3.0, -1.5, 0.0, 1.5, 3.0)


@torch.no_grad()
def picture_of(model: Generator, w: torch.Tensor) -> Image.Image:
    """Three planes of what styles (num_styles, w_dim) make."""
    return planes(model.synthesise(w[None], None)[0, 0].cpu().numpy(), model.card)


@torch.no_grad()
def styles_of(model: Generator, z: torch.Tensor) -> torch.Tensor:
    """(z_dim,) -> (num_styles, w_dim)."""
    return model.map(z[None])[0]


def planes(network_array: np.ndarray, card: ModelCard) -> Image.Image:
    """Three planes of a network's output (A0, A1, A2)."""
    stored = to_stored(
        np.asarray(network_array, np.float32), card.intensity.low, card.intensity.high, card.intensity.network_range,
        "int16", "stored",
    )  # fmt: skip
    grid = own_grid(card.shape, card.axes, card.spacing_mm)
    volume = Volume(from_network(stored, card.axes), grid.affine)
    return Image.open(BytesIO(three_planes(volume, card.window, PANEL_PX)))


def sheet(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    """Rows of pictures, each row with its caption above."""
    width = max(sum(picture.width + 4 for picture in pictures) for _, pictures in rows)
    height = sum(pictures[0].height + 18 for _, pictures in rows)
    page = Image.new("L", (width, height))
    draw, top = ImageDraw.Draw(page), 0
    for caption, pictures in rows:
        draw.text((4, top + 3), caption, fill=220)
        left = 0
        for picture in pictures:
            page.paste(picture, (left, top + 18))
            left += picture.width + 4
        top += pictures[0].height + 18
    return page


def samples_sheet(model: Generator) -> Image.Image:
    """Seeds 0 to 7, two a row."""
    length = model.card.latent.z_dim
    pictures = [picture_of(model, styles_of(model, gaussian(seed, length, None))) for seed in range(8)]
    return sheet([(f"seeds {k} and {k + 1}", pictures[k : k + 2]) for k in range(0, 8, 2)])


def directions_sheet(model: Generator, folder: Path) -> Image.Image:
    """Seed 0 moved along each shipped direction."""
    rows = []
    for path in sorted((folder / "directions").glob("*.json")):
        card = DirectionCard.model_validate_json(path.read_bytes())
        vector = torch.tensor(card.vector)
        z = gaussian(0, len(vector), None)
        moved = [picture_of(model, styles_of(model, z + s * card.std * vector)) for s in STRENGTHS]
        rows.append((f"{card.name}: strengths {', '.join(f'{s:g}' for s in STRENGTHS)}", moved))
    return sheet(rows)


@torch.no_grad()
def reconstructions_sheet(model: Generator, scans: Sequence[Path]) -> Image.Image:
    """Scan beside G(E(scan))."""
    rows = []
    for path in scans:
        array = prepare(read(path), preparation_by(model.card)).array
        w = model.encode(torch.from_numpy(array)[None, None])[0]
        rows.append((f"{path.name}: scan, reconstruction", [planes(array, model.card), picture_of(model, w)]))
    return sheet(rows)


def main() -> None:
    """Command line: the model's folder, where the pictures go, scans that the model has not seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("scans", type=Path, nargs="*")
    arguments = parser.parse_args()
    card = ModelCard.model_validate_json((arguments.folder / "card.json").read_bytes())
    model = load(arguments.folder, card)
    arguments.out.mkdir(parents=True, exist_ok=True)
    samples_sheet(model).save(arguments.out / "samples.png")
    directions_sheet(model, arguments.folder).save(arguments.out / "directions.png")
    if arguments.scans:
        reconstructions_sheet(model, arguments.scans).save(arguments.out / "reconstructions.png")


if __name__ == "__main__":
    main()
