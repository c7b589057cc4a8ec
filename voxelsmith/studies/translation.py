"""Translators held against the truth: one model on one scan, and MEGAN's comparisons on simulated kernels.

Loaded through voxelsmith.extras, because it needs torch and the training's libraries.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from contract.errors import UnreadableVolume, VerbNotSupported
from contract.requests import TranslateRequest
from evaluation.distances.detail import detail_inside
from evaluation.studies.megan import COARSE, EDGES, KERNELS, Kernel, Row, blacked_out, sharpened, table
from evaluation.translation import Measures, Unit, Watched, as_json, mean_of, measure, seam_ratio
from model_store.card import AnyCard, TranslatorCard
from model_store.catalogue import Catalogue
from model_store.families.base import ServedTranslator
from model_store.families.megan import ServedMEGAN
from model_store.load import load
from model_store.translator import Translator
from training.engine.course import train
from training.engine.data import scans_in
from training.engine.errors import DataRefused
from training.engine.export import export_tensors
from training.megan.ablation import AblatedFamily
from training.megan.by_distance import Descent, file_of, fit, with_trained
from training.megan.config import MEGANConfig
from training.megan.preparation import QUANTILES
from training.megan.trainer import FAMILY
from training.phantoms.dataset import WINDOW, write_dataset
from volumes.files import read
from volumes.intensity import to_unit, window_of
from volumes.reader_limits import LARGEST
from volumes.volume import Volume, VolumeError, on_one_grid
from workers.steps.recipe_events import Product, ScanDigest
from workers.steps.translation import translated

OnStep = Callable[[str, int, int], None]
EXTENT_MM = 330.0
"""Edge of a phantom's field of view."""


@dataclass(frozen=True)
class Plan:
    """How large the study is. Small enough for minutes on two cores; the paper: 512, 64, 3, 64, 6, 20 patches."""

    out: Path
    train: Path | None = None
    """Soft CTs to learn from; None: phantoms."""
    test: Path | None = None
    """Soft CTs to test on; None: phantoms."""
    phantoms: int = 6
    test_phantoms: int = 2
    side: int = 64
    """Of a phantom, in voxels."""
    lr_size: int = 32
    doublings: int = 1
    width: int = 8
    blocks: int = 2
    iterations: int = 300
    batch_size: int = 4
    learning_rate: float = 1e-3
    seed: int = 0
    device: str = "cpu"
    training: Literal["distance", "paper"] = "distance"
    """By distance alone (docs/decisions/0047), or with critics as in the paper."""
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def told(self) -> dict[str, Any]:
        """For the report: no paths."""
        said = {key: value for key, value in asdict(self).items() if key != "out"}
        return said | {key: "phantoms" if said[key] is None else "scans" for key in ("train", "test")}


def unit_truth(truth: Volume, card: TranslatorCard) -> Unit:
    """A scan of the target domain in [0, 1], as training saw such: by the card's window, else by its own quantiles."""
    low, high = card.input_window or window_of(np.asarray(truth.array), QUANTILES)
    return to_unit(truth.array, low, high)


def unit_translation(translator: Translator, scan: Volume, edges: str = "computed") -> Unit:
    """The translation of a scan on the scan's own grid, in [0, 1].

    Raises:
        UnreadableVolume: as `translated`.
    """
    request = TranslateRequest.model_validate({"model": translator.card.name, "edges": edges})
    products = (
        event for event in translated(request, translator, scan, None, ScanDigest("")) if isinstance(event, Product)
    )
    return to_unit(next(products).volume.array, *translator.card.intensity.network_range)


def judged(card: AnyCard, folder: Path, scan_path: Path, truth_path: Path | None) -> dict[str, Any]:
    """One model on one scan: per scale its detail, and where there is a truth the measures against it; of the finest
    scale whether patches show.

    Raises:
        VerbNotSupported: the model does not translate.
        UnreadableVolume: a scan that cannot be translated, or a truth on another grid.
    """
    served = load(folder, card)
    if not isinstance(served, ServedTranslator):
        raise VerbNotSupported("translate", card.verbs)
    scan, truth = _read(scan_path, truth_path)
    if truth is not None and not on_one_grid(scan, truth):
        raise UnreadableVolume("The truth does not lie on the scan's grid: shape and affine must be the same.")
    finest = Watched(served)
    found: dict[str, Any] = {"model": served.card.name, "model_sha256": served.card.sha256, "scales": []}
    made = unit_translation(finest, scan)
    found["seam_ratio"] = seam_ratio(finest.image)
    for scale in range(finest.doublings + 1):
        at = finest if scale == finest.doublings else Watched(served, scale)
        image = made if at is finest else unit_translation(at, scan)
        row: dict[str, Any] = {"scale": scale + 1, "shape": list(at.image.shape)}
        row["detail"] = detail_inside(image, scan.spacing_mm)
        if truth is not None:
            row |= as_json(measure(image, unit_truth(truth, served.card)))
        found["scales"].append(row)
    if truth is not None:  # what leaving the scan as it is would give
        own, real = unit_truth(scan, served.card), unit_truth(truth, served.card)
        found["original"] = {"detail": detail_inside(own, scan.spacing_mm), **as_json(measure(own, real))}
        found["truth"] = {"detail": detail_inside(real, scan.spacing_mm)}
    return found


def _served(folder: Path) -> ServedMEGAN:
    card = Catalogue([folder.parent]).card(folder.name)
    return cast("ServedMEGAN", load(folder, card))


def _read(*paths: Path | None) -> list[Any]:
    try:
        return [None if path is None else read(path, LARGEST) for path in paths]
    except VolumeError as err:
        raise UnreadableVolume(err.detail) from err


@dataclass
class Study:
    """Trains what the table compares, translates the test scans, and writes report.json and table.md to `plan.out`.

    A study that was broken off goes on where its last training was.
    """

    plan: Plan
    on_step: OnStep
    rows: list[Row] = field(default_factory=list)

    def run(self) -> Path:
        """The report. Raises: DataRefused (also where the folder has a study with other options), UnreadableVolume."""
        plan = self.plan
        self._check_same_study()
        soft = plan.train or self._phantoms("soft", plan.phantoms, plan.seed)
        tests = scans_in(plan.test or self._phantoms("test", plan.test_phantoms, plan.seed + plan.phantoms))
        trained = self._by_distance if plan.training == "distance" else self._as_in_paper
        ours = trained("ours", soft)
        alone = trained("patch-wise", soft, COARSE, plan.doublings)
        plain = trained("without-edges", soft, EDGES, 1)
        methods = _methods(ours, alone, plain, plan.doublings)
        finest = methods["ours"]
        seams: list[float | None] = []
        for kernel in KERNELS:
            found: dict[str, list[Measures]] = {name: [] for name in (*methods, "original")}
            for place, path in enumerate(tests):
                self.on_step(f"test: {kernel.name}", place, len(tests))
                self._test(path, kernel, place, methods, found)
                seams.append(seam_ratio(finest.image))
            self.rows += [Row(kernel.name, name, len(tests), mean_of(each)) for name, each in found.items()]
        return self._report(seams)

    def _check_same_study(self) -> None:
        own = {key: value for key, value in self.plan.told.items() if key != "device"}
        path = self.plan.out / "plan.json"
        began = json.loads(path.read_text()) if path.exists() else own
        differing = [f"{key} (there {began.get(key)})" for key in own if began.get(key) != own[key]]
        if differing:
            raise DataRefused(
                f"the study in {self.plan.out} began with other options: {', '.join(differing)}; take another --out"
            )
        path.write_text(json.dumps(own) + "\n")

    def _phantoms(self, name: str, count: int, seed: int) -> Path:
        folder, plan = self.plan.out / name, self.plan
        if not (folder / "labels.csv").exists():
            spacing_mm = (EXTENT_MM / plan.side,) * 3
            told = self.on_step
            write_dataset(
                folder, count, seed, shape=(plan.side,) * 3, spacing_mm=spacing_mm,
                on_written=lambda done, total: told("phantoms", done, total),
            )  # fmt: skip
        return folder

    def _as_in_paper(self, name: str, soft: Path, hidden: int | None = None, first: int = 0) -> Path:
        """With critics. One input of the HR networks from scale `first` on may be hidden; those below are those of
        "ours"."""
        family = FAMILY if hidden is None else AblatedFamily(self._run_of("ours") / "ours", first, hidden)
        return train(
            self._config(name, soft), family, lambda done, total, _: self.on_step(f"train: {name}", done, total)
        )

    def _by_distance(self, name: str, soft: Path, hidden: int | None = None, first: int = 0) -> Path:
        """The same by the L1 distance alone. A network that sees no coarser image makes no difference to it either."""
        plan = self.plan
        config = self._config(name, soft).model_copy(
            update={"skips": True, "adds_coarse": hidden != COARSE, "blends": True, "edge_power": 1 / 3,
                    "deformed": 0.8, "mirrored": 0.5}
        )  # fmt: skip
        config.out.mkdir(parents=True, exist_ok=True)
        for scale in range(plan.doublings + 1):
            if scale < first:
                if not file_of(config, scale).exists():
                    shutil.copy(file_of(self._config("ours", soft), scale), file_of(config, scale))
                continue
            descent = Descent(plan.iterations, 2, squares=13.0, dropout=0.1)
            if scale:
                descent = Descent(plan.iterations, 1, plan.batch_size, hidden=hidden)
            fit(config, scale, descent, partial(self._told, f"train: {name}, scale {scale + 1}"))
        trainer = with_trained(config)
        folder = config.out / name
        export_tensors(folder, FAMILY.card(trainer, len(scans_in(soft))), FAMILY.tensors(trainer))
        return folder

    def _told(self, stage: str, done: int, l1: float) -> None:
        self.on_step(f"{stage}, L1 {l1:.3f}", done, self.plan.iterations)

    def _run_of(self, name: str) -> Path:
        return self.plan.out / "runs" / name

    def _config(self, name: str, soft: Path) -> MEGANConfig:
        plan = self.plan
        return MEGANConfig(
            data=soft, out=self._run_of(name), name=name, iterations=plan.iterations, batch_size=plan.batch_size,
            lr_size=plan.lr_size, doublings=plan.doublings, lr_width=plan.width, lr_blocks=plan.blocks,
            hr_width=plan.width, hr_blocks=plan.blocks, critic_width=plan.width, modality="CT", window=WINDOW,
            target_domain="CT, soft kernel", learning_rate=plan.learning_rate,
            seed=plan.seed, device=plan.device, precision=plan.precision, save_every=50,
        )  # fmt: skip

    def _test(
        self, path: Path, kernel: Kernel, seed: int, methods: dict[str, Watched], found: dict[str, list[Measures]]
    ) -> None:
        (soft,) = _read(path)
        sharp = Volume(sharpened(soft.array, kernel, seed), soft.affine)
        truth = to_unit(soft.array, *WINDOW)
        found["original"].append(measure(to_unit(sharp.array, *WINDOW), truth))
        for name, method in methods.items():
            found[name].append(measure(unit_translation(method, sharp), truth))

    def _report(self, seams: list[float | None]) -> Path:
        said = [ratio for ratio in seams if ratio is not None]
        report = {
            "study": "megan",
            "plan": self.plan.told,
            "kernels": [asdict(kernel) for kernel in KERNELS],
            "rows": [row.as_json() for row in self.rows],
            "seam_ratio": float(np.mean(said)) if said else None,
        }
        (self.plan.out / "table.md").write_text(table(self.rows))
        path = self.plan.out / "report.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
        return path


def _methods(ours: Path, alone: Path, plain: Path, doublings: int) -> dict[str, Watched]:
    """By the name of its row."""
    scales = {f"ours, scale {scale + 1}": Watched(_served(ours), scale) for scale in range(1, doublings)}
    return {
        "ours": Watched(_served(ours)),
        "patch-wise": Watched(_hiding(alone, COARSE)),
        "small, enlarged": Watched(_served(ours), 0),
        **scales,
        "without edges": Watched(_hiding(plain, EDGES)),
        "edges hidden in the test": Watched(_hiding(ours, EDGES)),
        "coarse hidden in the test": Watched(_hiding(ours, COARSE)),
    }


def _hiding(folder: Path, channel: int) -> ServedMEGAN:
    served = _served(folder)
    served.cascade = blacked_out(served.cascade, channel)
    return served
