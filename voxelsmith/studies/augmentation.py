"""HA-GAN's table V on phantoms: a classifier of severity with few real volumes, and with generated ones beside them.

Loaded through voxelsmith.extras, because it needs torch and the training's libraries.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.samples import Made
from evaluation.studies.augmentation import GENERATED, MORE, REAL, SHARE, Row, labels_as, rows, table
from evaluation.studies.classifier import EPOCHS, Labels, Volumes, accuracy, fitted
from model_store.generator import Generator
from training.phantoms.phantom import SEVERITIES
from voxelsmith.studies.phantom_models import OnStep, SmallHAGAN, opened, phantoms, trained, truth_of, units

ACCURACIES, SEEN = "accuracies.json", "seen"
NOT_REPRODUCED = (
    "the GOLD grades of COPDGene, which are private; alpha-GAN. The paper has one classifier a row, no interval, and "
    "does not tell its optimiser"
)
Labelled = tuple[Volumes, Labels]


@dataclass(frozen=True)
class Plan:
    """How large the study is. The paper: 128^3, 80% of 9276 scans, 20 epochs."""

    out: Path
    model: SmallHAGAN = field(default_factory=SmallHAGAN)
    real: int = 100
    test_phantoms: int = 200
    seeds: int = 3
    """Classifiers of each training set."""
    epochs: int = EPOCHS

    @property
    def added(self) -> int:
        """Generated volumes that make up SHARE of real and generated together."""
        return round(self.real * SHARE / (1 - SHARE))


@dataclass
class Study:
    """Trains a conditional HA-GAN on the real phantoms, then classifiers, and writes report.json and table.md to
    `plan.out`. A study that was broken off goes on where it was."""

    plan: Plan
    on_step: OnStep

    def run(self) -> Path:
        """The report. Raises: DataRefused."""
        plan, found, device = self.plan, self._known(), self.plan.model.device
        model = opened(self._conditional(), device)
        real, test = (self._phantoms(model, name) for name in ("real", "test"))
        added = {GENERATED: self._generated(model, labels_as(real[1], plan.added)), MORE: self._phantoms(model, "more")}
        sets = {REAL: real} | {name: _joined(real, more) for name, more in added.items()}
        for seed in range(plan.seeds):
            for name, (volumes, labels) in sets.items():
                if len(found[name]) <= seed:
                    network = fitted(
                        volumes, labels, SEVERITIES, plan.model.seed + seed, plan.model.device, plan.epochs
                    )
                    found[name].append(accuracy(network, *test, device))
                    if name == REAL:  # whether what was asked for can be seen in what was generated
                        found[SEEN].append(accuracy(network, *added[GENERATED], device))
                    self._keep(found)
                self.on_step(f"classifier: {name}", seed + 1, plan.seeds)
        return self._report(rows({name: found[name] for name in sets}), found[SEEN])

    def _conditional(self) -> Path:
        plan = self.plan
        counts = {"real": (plan.real, 0), "test": (plan.test_phantoms, 10**6), "more": (plan.added, 2 * 10**6)}
        for name, (count, apart) in counts.items():
            phantoms(plan.out / name, count, plan.model.seed + apart, plan.model.size, self.on_step)
        classes = [str(grade) for grade in range(SEVERITIES)]
        return trained("conditional", plan.out / "real", plan.out / "runs", plan.model, self.on_step, classes=classes)

    def _phantoms(self, model: Generator, name: str) -> Labelled:
        folder = self.plan.out / name
        volumes = [unit.astype(np.float16) for unit in units(model.card, folder, self.on_step)]
        return np.stack(volumes), truth_of(folder).severity.astype(np.int64)

    def _generated(self, model: Generator, labels: Labels) -> Labelled:
        made: list[Volumes] = []
        for label, count in sorted(Counter(labels.tolist()).items()):
            samples = Made(model.card, lambda: model, count, self.plan.model.seed + len(made), None, label)
            made += [sample.make().unit.astype(np.float16) for sample in samples]
            self.on_step("generate", len(made), len(labels))
        return np.stack(made), labels

    def _known(self) -> dict[str, list[float]]:
        """The accuracies of an earlier run with the same plan."""
        path = self.plan.out / ACCURACIES
        kept = json.loads(path.read_text()) if path.exists() else {}
        if kept.get("plan") == self._told:
            found: dict[str, list[float]] = kept["found"]
            return found
        return {REAL: [], GENERATED: [], MORE: [], SEEN: []}

    def _keep(self, found: dict[str, list[float]]) -> None:
        (self.plan.out / ACCURACIES).write_text(json.dumps({"plan": self._told, "found": found}) + "\n")

    @property
    def _told(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self.plan).items() if key != "out"}

    def _report(self, found: list[Row], seen: list[float]) -> Path:
        report: dict[str, Any] = {
            "study": "augmentation",
            "plan": self._told,
            "added": self.plan.added,
            "rows": [row.as_json() for row in found],
            "generated_seen_as_asked": {"each": seen, "mean": float(np.mean(seen))},
            "not_reproduced": NOT_REPRODUCED,
        }
        told = f"Generated volumes of the class asked for, by classifiers of real ones: {100 * np.mean(seen):.1f}%"
        (self.plan.out / "table.md").write_text(f"{table(found)}\n{told}\n")
        path = self.plan.out / "report.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
        return path


def _joined(one: Labelled, other: Labelled) -> Labelled:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])
