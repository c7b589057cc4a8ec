"""The pictures of the shipped style model under docs/images: samples, style mixing, truncation, reconstructions."""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.generator import Generator
from model_store.load import load
from training.demo.pictures import picture_of, reconstructions_sheet, samples_sheet, sheet, styles_of

SOURCE, TARGET = 1, 2
"""Seeds of the style mixing."""
CROSSOVERS = (3, 5, 7)
PSIS = (1.0, 0.7, 0.4, 0.1)
"""Of figure C.10."""


def seeded(model: Generator, seed: int) -> Tensor:
    """(num_styles, w_dim) of a seed."""
    return styles_of(model, gaussian(seed, model.card.latent.z_dim, None))


def mixing_sheet(model: Generator) -> Image.Image:
    """Figure 6: source, target, and the source's styles up to each crossover with the target's after it."""
    source, target = seeded(model, SOURCE), seeded(model, TARGET)
    rows = [(f"source (seed {SOURCE}), target (seed {TARGET})", [picture_of(model, w) for w in (source, target)])]
    for crossover in CROSSOVERS:
        there = torch.cat([source[:crossover], target[crossover:]])
        back = torch.cat([target[:crossover], source[crossover:]])
        rows.append(
            (
                f"crossover {crossover}: source then target, target then source",
                [picture_of(model, w) for w in (there, back)],
            )
        )
    return sheet(rows)


def truncation_sheet(model: Generator) -> Image.Image:
    """Figure C.10: psi from 1 to 0.1, one seed a row."""
    mean = model.mean_style()
    rows = []
    for seed in (1, 2, 5):
        w = seeded(model, seed)
        rows.append(
            (f"seed {seed}: psi {', '.join(map(str, PSIS))}", [picture_of(model, mean + p * (w - mean)) for p in PSIS])
        )
    return sheet(rows)


def main() -> None:
    """Command line: the model's folder, where the pictures go, scans to reconstruct."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("scans", type=Path, nargs="*")
    arguments = parser.parse_args()
    card = ModelCard.model_validate_json((arguments.folder / "card.json").read_bytes())
    model = load(arguments.folder, card)
    arguments.out.mkdir(parents=True, exist_ok=True)
    sheets = {"samples": samples_sheet(model), "mixing": mixing_sheet(model), "truncation": truncation_sheet(model)}
    if arguments.scans:
        sheets["reconstructions"] = reconstructions_sheet(model, arguments.scans)
    for name, page in sheets.items():
        page.save(arguments.out / f"style-{name}.png")


if __name__ == "__main__":
    main()
