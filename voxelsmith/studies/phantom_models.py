"""What HA-GAN's studies are made of: phantoms with their truth, and a small model that has learnt from them."""

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from evaluation.samples import Folder
from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from model_store.generator import Generator
from model_store.load import load
from training.engine.course import train
from training.engine.errors import DataRefused
from training.hagan.config import HAGANConfig
from training.hagan.trainer import FAMILY
from training.phantoms.dataset import LABELS, WINDOW, write_dataset
from training.phantoms.phantom import SHAPE, SPACING_MM
from volumes.scan import preparation_by

OnStep = Callable[[str, int, int], None]
EXTENT_MM = tuple(side * step for side, step in zip(SHAPE, SPACING_MM, strict=True))
Size = Literal[32, 64, 128, 256]


@dataclass(frozen=True)
class SmallHAGAN:
    """The model of a study. The paper: 256, 32, 1024, batches of 4, 80000 iterations, rate 1, float32."""

    size: Size = 32
    width: int = 8
    latent_dim: int = 64
    iterations: int = 1000
    batch_size: int = 4
    rate: float = 5.0
    """Factor on the paper's learning rates: few iterations have to go further."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Truth:
    """What is known of a folder's phantoms, by the names of their files, which are in order."""

    files: tuple[str, ...]
    severity: NDArray[np.float64]
    lung_volume_ml: NDArray[np.float64]
    bone_volume_ml: NDArray[np.float64]


def phantoms(folder: Path, count: int, seed: int, side: int, on_step: OnStep) -> Truth:
    """The phantoms of seeds seed .. seed + count - 1 in `folder`, `side` voxels along each axis; made where they are
    not there.

    Raises:
        DataRefused: others are there.
    """
    if not (folder / LABELS).exists():
        x, y, z = (edge / side for edge in EXTENT_MM)
        write_dataset(
            folder, count, seed, shape=(side,) * 3, spacing_mm=(x, y, z),
            on_written=lambda done, total: on_step(f"phantoms: {folder.name}", done, total),
        )  # fmt: skip
    found = truth_of(folder)
    if len(found.files) != count or f"-{seed:05d}." not in found.files[0]:
        raise DataRefused(f"the phantoms in {folder.name} are those of another study: give another --out")
    return found


def truth_of(folder: Path) -> Truth:
    """Of phantoms that are there."""
    with (folder / LABELS).open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    numbers = {name: np.array([float(row[name]) for row in rows]) for name in list(rows[0])[1:]}
    return Truth(
        tuple(row["file"] for row in rows), numbers["severity"], numbers["lung_volume_ml"], numbers["bone_volume_ml"]
    )


def trained(name: str, data: Path, out: Path, plan: SmallHAGAN, on_step: OnStep, **changed: Any) -> Path:
    """The model's folder, in out / name. Goes on where it was broken off. Raises: DataRefused."""
    base = HAGANConfig.model_fields
    rates = {key: plan.rate * float(base[key].default) for key in ("lr_generator", "lr_encoder", "lr_discriminator")}
    settings = asdict(plan) | rates | changed
    del settings["rate"]
    config = HAGANConfig(
        data=data, out=out / name, name=name, modality="CT", window=WINDOW, trim_blank_slices=False,
        anatomy="thorax phantom", save_every=100, picture_every=10**6, **settings,
    )  # fmt: skip
    return train(config, FAMILY, lambda done, total, _: on_step(f"train: {name}", done, total))


def opened(folder: Path, device: str) -> Generator:
    """A model as it is served, in float32."""
    card = cast("ModelCard", Catalogue([folder.parent]).card(folder.name))
    return load(folder, card, device)


def units(card: ModelCard, folder: Path, on_step: OnStep) -> Any:
    """Each scan of a folder by name as the model sees it: (X, Y, Z) in [0, 1], RAS order."""
    scans = Folder(folder, preparation_by(card))
    for done, scan in enumerate(scans, 1):
        yield scan.make().unit
        on_step(f"features: {folder.name}", done, len(scans))
