"""A measuring process: files of volumes on one core, beside nibabel."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.children import answer
from benchmarks.results import FileWriting
from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from volumes.files import write
from volumes.grids.grid import own_grid
from volumes.intensity import to_stored
from volumes.orientation import from_network
from volumes.volume import Volume
from workers.bench import Bench

DEMO = "brain-demo-256"
Steps = dict[str, Callable[[], object]]


def write_files(models: str, model: str, with_demo: bool, repeats: int) -> list[dict[str, Any]]:
    """FileWritings as dictionaries: a volume of the model of random weights, and one of the demo's."""
    torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory(prefix="voxelsmith-bench-") as scratch:
        for title, root, name in (("random network", Path(models) / model, model), ("demo brain", SHIPPED, DEMO)):
            if title == "random network" or with_demo:
                card, volume = _sample(root, name)
                found += _both_steps(title, card, volume, Path(scratch), repeats)
    return [asdict(measured) for measured in found]


def _sample(root: Path, name: str) -> tuple[ModelCard, Volume]:
    """A volume (X, Y, Z) in the network's range, as a worker hands it to its writer."""
    ours = Bench(Catalogue([root]), "cpu", "float32", threads=1).generator(name)
    card = ours.card
    with torch.inference_mode():
        array: NDArray[np.float32] = ours.synthesise(ours.map(gaussian(1, card.latent.z_dim)[None]))[0, 0].numpy()
    affine = own_grid(card.shape, card.axes, card.spacing_mm).affine
    return card, Volume(from_network(array, card.axes), affine)


def _both_steps(title: str, card: ModelCard, volume: Volume, scratch: Path, repeats: int) -> list[FileWriting]:
    """To int16 in the card's units, then to a file; each plainly and by ours."""
    spec, source = card.intensity, np.asarray(volume.array, dtype=np.float32)
    stored = to_stored(source, spec.low, spec.high, spec.network_range, "int16")
    image, path = nibabel.Nifti1Image(stored, volume.affine), scratch / "volume.nii.gz"

    def convert_plainly() -> object:
        start, end = spec.network_range
        scaled = (source.astype(np.float64) - start) / (end - start) * (spec.high - spec.low) + spec.low
        return np.rint(scaled).clip(-32768, 32767).astype(np.int16)

    def convert() -> object:
        return to_stored(source, spec.low, spec.high, spec.network_range, "int16")

    def save() -> None:
        provenance = {"model": card.name}
        write(Volume(stored, volume.affine), path, format="nii.gz", window=card.window, provenance=provenance)

    def save_plainly() -> None:
        nibabel.save(image, path)

    conversions: Steps = {"numpy": convert_plainly, "ours": convert}
    savings: Steps = {"nibabel": save_plainly, "ours": save}
    rows = [
        FileWriting(title, "int16 values", way, _timed(step, repeats), stored.nbytes)
        for way, step in conversions.items()
    ]
    for way, step in savings.items():
        rows.append(FileWriting(title, ".nii.gz", way, _timed(step, repeats), path.stat().st_size))
    return rows


def _timed(step: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each repeat after one that is not counted."""
    step()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    return seconds


if __name__ == "__main__":
    answer(write_files)
