"""Detail: how much of a volume's power lies in structures of 4 to 12.5 mm: `python -m benchmarks.detail MODEL`.

The measure is that of `voxelsmith evaluate` (evaluation/distances/detail.py); here it is taken of few volumes at once.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from contract.fit import generator_card
from evaluation.distances.detail import detail_of
from evaluation.errors import EvaluationRefused
from evaluation.samples import opened, scans_in
from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from model_store.generator import Generator
from model_store.load import load
from volumes.dicom.signs import is_series_folder
from volumes.scan import preparation_by, prepare
from volumes.volume import VolumeError


@dataclass(frozen=True)
class Detail:
    """One volume's."""

    name: str
    detail: float


@dataclass(frozen=True)
class Reconstruction:
    """A scan, and what the model's encoder and generator make of it."""

    name: str
    scan: float
    made: float
    psnr_db: float
    """Of the whole volume in [0, 1]."""


@dataclass(frozen=True)
class Comparison:
    """A model's samples, and scans on the same grid."""

    model: str
    samples: tuple[Detail, ...]
    scans: tuple[Detail, ...]
    reconstructions: tuple[Reconstruction, ...] = ()

    @property
    def of_real(self) -> float | None:
        """Median of the samples over the median of the scans; None without scans."""
        if not self.scans:
            return None
        return median(self.samples) / median(self.scans)


def median(details: Sequence[Detail]) -> float:
    """Of several volumes."""
    return float(np.median([one.detail for one in details]))


def in_unit(array: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    """The network's range to [0, 1]."""
    low, high = card.intensity.network_range
    return np.asarray((array - low) / (high - low), dtype=np.float32)


@torch.inference_mode()
def of_samples(model: Generator, seeds: Sequence[int]) -> tuple[Detail, ...]:
    """Of the volumes that `voxelsmith generate` makes of these seeds."""
    found = []
    for seed in seeds:
        z = gaussian(seed, model.card.latent.z_dim, None)[None]
        unit = in_unit(model.synthesise(model.map(z), None)[0, 0].cpu().numpy(), model.card)
        found.append(Detail(f"seed {seed}", detail_of(unit, model.card.spacing_mm)))
    return tuple(found)


def of_scans(card: ModelCard, scans: Sequence[Path]) -> tuple[Detail, ...]:
    """Of scans on the model's grid."""
    return tuple(
        Detail(path.name, detail_of(in_unit(prepare(opened(path), preparation_by(card)).array, card), card.spacing_mm))
        for path in scans
    )


@torch.inference_mode()
def reconstruct(model: Generator, scans: Sequence[Path]) -> tuple[Reconstruction, ...]:
    """G(E(scan)) without refinement, beside the scan."""
    card, found = model.card, []
    for path in scans:
        array = prepare(opened(path), preparation_by(card)).array
        styles = model.encode(torch.from_numpy(array)[None, None])[0]
        scan = in_unit(array, card)
        made = in_unit(model.synthesise(styles[None], None)[0, 0].cpu().numpy(), card)
        psnr_db = -10 * math.log10(max(float(np.mean((made - scan) ** 2, dtype=np.float64)), 1e-12))
        found.append(
            Reconstruction(path.name, detail_of(scan, card.spacing_mm), detail_of(made, card.spacing_mm), psnr_db)
        )
    return tuple(found)


def scans_at(place: Path) -> list[Path]:
    """A scan, or a folder's by name. Raises: EvaluationRefused, for a folder without any."""
    return [place] if place.is_file() or is_series_folder(place) else scans_in(place)


def text_of(comparison: Comparison) -> str:
    """One volume a line, then the medians."""
    lines = [f"{one.detail:.3f}  {one.name}" for one in (*comparison.samples, *comparison.scans)]
    lines.append(f"{median(comparison.samples):.3f}  median of samples of {comparison.model}")
    if comparison.of_real is not None:
        lines.append(f"{median(comparison.scans):.3f}  median of scans")
        lines.append(f"{comparison.of_real:.2f}  of the scans' detail")
    for one in comparison.reconstructions:
        share = one.made / one.scan if one.scan > 0 else float("nan")
        lines.append(f"{one.made:.3f}  {one.name} encoded and made again: {share:.2f} of its own, {one.psnr_db:.1f} dB")
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detail", description=__doc__)
    parser.add_argument("model", help="a shipped model's name, or a model's folder")
    parser.add_argument("--against", type=Path, nargs="+", default=[], help="scans of whole heads, or folders of them")
    parser.add_argument("--reconstruct", type=Path, nargs="+", default=[], help="scans to encode and make again")
    parser.add_argument("--seeds", type=int, default=8, help="how many samples, from seed 0 on")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser.parse_args()


def main() -> None:
    """The command line."""
    options = _options()
    folder = Path(options.model) if Path(options.model).is_dir() else SHIPPED / options.model
    card = generator_card(Catalogue([folder.parent]).card(folder.name), "generate")
    model = load(folder, card)
    try:
        scans = of_scans(card, [path for place in options.against for path in scans_at(place)])
        made = reconstruct(model, [path for place in options.reconstruct for path in scans_at(place)])
    except (EvaluationRefused, VolumeError) as err:
        sys.exit(str(err))
    comparison = Comparison(card.name, of_samples(model, range(options.seeds)), scans, made)
    if options.json:
        sys.stdout.write(json.dumps(asdict(comparison) | {"of_real": comparison.of_real}, indent=1) + "\n")
    else:
        sys.stdout.write(text_of(comparison))


if __name__ == "__main__":
    main()
