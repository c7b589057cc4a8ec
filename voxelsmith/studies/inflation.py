"""The study of weight inflation: Split&Shuffle-GAN's table I on phantoms, with and without 2D pre-training.

Loaded through voxelsmith.extras, because it needs torch and the training's libraries.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.distances.frechet import Features
from evaluation.samples import Folder, Made
from evaluation.studies.markdown import markdown
from evaluation.studies.slices import Slices, apart, slice_features
from model_store.card import ModelCard
from model_store.catalogue import read_card
from model_store.folder import replacing
from model_store.load import load
from training.engine.course import train
from training.phantoms.dataset import WINDOW, write_dataset
from training.split_shuffle.config import Inflation, SplitShuffleConfig
from training.split_shuffle.trainer import FAMILY
from volumes.scan import preparation_by

OnStep = Callable[[str, int, int], None]
NONE = "none"
"""Weights drawn at random."""
EXTENT_MM = 340.0
"""Edge of a phantom's field of view."""
PAPER = {
    NONE: 102.7,
    "inflate-1": 73.0,
    "inflate-2": 103.7,
    "inflate-3": 106.0,
    "inflate-asc": 90.0,
    "inflate-nwi": 85.0,
}
"""Table I, FID-avg by Inception v3."""


@dataclass(frozen=True)
class Plan:
    """How large the study is. Minutes on two cores; the paper: 787 scans, 32x64x64, 32 channels, batch 128."""

    out: Path
    inflations: tuple[Inflation, ...] = ("inflate-1",)
    """Held against none."""
    phantoms: int = 24
    """To learn from."""
    test_phantoms: int = 64
    """Held against what the models make, and each half against the other."""
    num_samples: int = 64
    side: int = 32
    channels: int = 8
    pretrain_2d: int = 600
    """Iterations on slices, which `none` does not have."""
    iterations: tuple[int, ...] = (1, 100, 300)
    """On volumes, at each of which the models are looked at."""
    batch_size: int = 4
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Row:
    """One way of starting, after so many iterations on volumes."""

    start: str
    iterations: int
    fid: Slices

    @property
    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"fid_mean": self.fid.mean, "paper_best": PAPER[self.start]}


@dataclass
class Study:
    """Trains from each start, and writes report.json and table.md to `plan.out`. A stopped one goes on where it was."""

    plan: Plan
    on_step: OnStep

    def run(self) -> Path:
        """The report. Raises: DataRefused."""
        plan = self.plan
        data = self._phantoms("data", plan.phantoms, plan.seed)
        tests = self._phantoms("test", plan.test_phantoms, plan.seed + plan.phantoms)
        rows: list[Row] = []
        for start in (NONE, *plan.inflations):
            for iterations in sorted(plan.iterations):
                path = plan.out / "runs" / f"{start}-{iterations}.npz"
                if not path.exists():
                    self._look(start, iterations, data, path)
                rows.append(Row(start, iterations, apart(self._reference(tests), _read(path))))
        reference, half = self._reference(tests), plan.test_phantoms // 2
        floor = apart(
            {plane: found[:half] for plane, found in reference.items()},
            {plane: found[half:] for plane, found in reference.items()},
        )
        return self._report(rows, floor)

    def _look(self, start: str, iterations: int, data: Path, path: Path) -> None:
        """Train so far and keep the features of samples."""
        plan, folder = self.plan, self._trained(start, data, iterations)
        card = _card(folder)
        model = load(folder, card, plan.device)
        made = Made(card, lambda: model, plan.num_samples, plan.seed, None, None)
        _write(path, slice_features(self._seen("samples", made)))

    def _reference(self, tests: Path) -> dict[str, Features]:
        """Of phantoms that nothing was trained on, on the models' grid."""
        path = self.plan.out / "runs" / "test.npz"
        if not path.exists():
            scans = Folder(tests, preparation_by(_card(self.plan.out / "runs" / NONE / NONE)))
            _write(path, slice_features(self._seen("test", scans)))
        return _read(path)

    def _phantoms(self, name: str, count: int, seed: int) -> Path:
        folder, plan = self.plan.out / name, self.plan
        if not (folder / "labels.csv").exists():
            told = self.on_step
            write_dataset(
                folder, count, seed, shape=(plan.side,) * 3, spacing_mm=(EXTENT_MM / plan.side,) * 3,
                on_written=lambda done, total: told("phantoms", done, total),
            )  # fmt: skip
        return folder

    def _trained(self, start: str, data: Path, iterations: int) -> Path:
        plan = self.plan
        doublings = (plan.side // 4).bit_length() - 1
        config = SplitShuffleConfig.model_validate({
            "data": data, "out": plan.out / "runs" / start, "name": start, "shape": (plan.side,) * 3,
            "doublings": doublings, "channels": plan.channels, "z_dim": 16, "w_dim": 16, "iterations": iterations,
            "batch_size": plan.batch_size, "pretrain_2d": 0 if start == NONE else plan.pretrain_2d,
            "inflation": "inflate-1" if start == NONE else start, "learning_rate": 0.002, "modality": "CT",
            "window": WINDOW, "seed": plan.seed, "device": plan.device, "save_every": 100, "average_images": 500.0,
        })  # fmt: skip
        return train(config, FAMILY, lambda done, total, _: self.on_step(f"train: {start}", done, total))

    def _seen(self, what: str, volumes: Folder | Made) -> Iterator[NDArray[np.float32]]:
        for done, sample in enumerate(volumes, 1):
            yield sample.make().unit
            self.on_step(what, done, len(volumes))

    def _report(self, rows: Sequence[Row], floor: Slices) -> Path:
        plan = {key: value for key, value in asdict(self.plan).items() if key != "out"}
        report = {"study": "inflation", "plan": plan, "rows": [row.as_json for row in rows], "floor": asdict(floor)}
        (self.plan.out / "table.md").write_text(_table(rows, floor))
        path = self.plan.out / "report.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
        return path


def _card(folder: Path) -> ModelCard:
    card = read_card(folder)
    assert isinstance(card, ModelCard)
    return card


def _write(path: Path, found: dict[str, Features]) -> None:
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **dict(found))  # type: ignore[arg-type]


def _read(path: Path) -> dict[str, Features]:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def _table(rows: Sequence[Row], floor: Slices) -> str:
    named = [(row.start, str(row.iterations), row.fid, f"{PAPER[row.start]:g}") for row in rows]
    lines = [
        (start, iterations, *(f"{value:.3g}" for value in (fid.axial, fid.sagittal, fid.coronal, fid.mean)), paper)
        for start, iterations, fid, paper in [*named, ("real against real", "", floor, "")]
    ]
    return markdown(("start", "iterations", "axial", "sagittal", "coronal", "mean", "paper's best"), lines)
