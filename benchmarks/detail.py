"""Detail: how much of a volume's power lies in structures of 4 to 12.5 mm: `python -m benchmarks.detail MODEL`.

A blur of the right shape scores well on every measure that compares voxels; this one tells it from a scan. Of a cube of
110 mm inside the head, the share of its spectral power between 0.08 and 0.25 cycles/mm in all above 0.01 cycles/mm:
0.08 cycles/mm is a wavelength of 12.5 mm, about two gyri; 0.25 is what a voxel of 2 mm can still show.
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
from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from model_store.generator import Generator
from model_store.load import load
from training.progressive.card import preparation_by
from volumes.files import read
from volumes.grid import HEADROOM_MM
from volumes.scan import prepare

BAND = (0.08, 0.25)
"""Cycles per mm: what counts as detail."""
LOWEST = 0.01
"""Cycles per mm: slower than this is size and shading."""
CUBE_MM = 110.0
BELOW_VERTEX_MM = 75.0
"""Where the cube's centre lies; to the sides and front to back it is the volume's middle, as heads are placed."""
QUANTILE = 0.997
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")


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


def detail_of(unit: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> float:
    """The share of power in `BAND` in all above `LOWEST`, inside the head.

    Args:
        unit: (A0, A1, A2), A0 down from the head's vertex, which lies `HEADROOM_MM` below the first face; 0 is air.
        spacing_mm: of the three axes.
    """
    return band_share(_cube(unit, spacing_mm), spacing_mm)


def band_share(cube: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> float:
    """Of the cube without its mean, under a Hann window along each axis: power in `BAND` over power above `LOWEST`."""
    values = cube.astype(np.float64) - cube.mean()
    for axis, count in enumerate(cube.shape):
        shape = [1, 1, 1]
        shape[axis] = count
        values *= (np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 2).reshape(shape)
    power = np.abs(np.fft.fftn(values)) ** 2
    axes = [np.fft.fftfreq(count, step) for count, step in zip(cube.shape, spacing_mm, strict=True)]
    frequency = np.sqrt(sum(f**2 for f in np.meshgrid(*axes, indexing="ij")))
    in_band = (frequency >= BAND[0]) & (frequency <= BAND[1])
    return float(power[in_band].sum() / max(power[frequency > LOWEST].sum(), 1e-30))


def _cube(unit: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """The cube of `CUBE_MM`, brightest 0.3% at 1 as for display: what is left of the volume where it is smaller."""
    top = max(float(np.quantile(unit, QUANTILE)), 1e-6)
    middles = [(BELOW_VERTEX_MM + HEADROOM_MM) / spacing_mm[0], unit.shape[1] / 2, unit.shape[2] / 2]
    slices = []
    for middle, step, count in zip(middles, spacing_mm, unit.shape, strict=True):
        half = CUBE_MM / step / 2
        slices.append(slice(max(round(middle - half), 0), min(round(middle + half), count)))
    return unit[tuple(slices)] / top


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
        Detail(path.name, detail_of(in_unit(prepare(read(path), preparation_by(card)).array, card), card.spacing_mm))
        for path in scans
    )


@torch.inference_mode()
def reconstruct(model: Generator, scans: Sequence[Path]) -> tuple[Reconstruction, ...]:
    """G(E(scan)) without refinement, beside the scan."""
    card, found = model.card, []
    for path in scans:
        array = prepare(read(path), preparation_by(card)).array
        styles = model.encode(torch.from_numpy(array)[None, None])[0]
        scan = in_unit(array, card)
        made = in_unit(model.synthesise(styles[None], None)[0, 0].cpu().numpy(), card)
        psnr_db = -10 * math.log10(max(float(np.mean((made - scan) ** 2, dtype=np.float64)), 1e-12))
        found.append(
            Reconstruction(path.name, detail_of(scan, card.spacing_mm), detail_of(made, card.spacing_mm), psnr_db)
        )
    return tuple(found)


def scans_in(place: Path) -> list[Path]:
    """A file, or a folder's volumes by name."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.iterdir() if path.name.endswith(SUFFIXES))


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
    scans = of_scans(card, [path for place in options.against for path in scans_in(place)])
    made = reconstruct(model, [path for place in options.reconstruct for path in scans_in(place)])
    comparison = Comparison(card.name, of_samples(model, range(options.seeds)), scans, made)
    if options.json:
        sys.stdout.write(json.dumps(asdict(comparison) | {"of_real": comparison.of_real}, indent=1) + "\n")
    else:
        sys.stdout.write(text_of(comparison))


if __name__ == "__main__":
    main()
