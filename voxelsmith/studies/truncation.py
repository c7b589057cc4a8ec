"""The study of truncation: the bone paper's table 1 and figures 6 and 8 on a model that anyone has.

Loaded through voxelsmith.extras, because it needs torch.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from evaluation.samples import Folder
from evaluation.studies import truncation as measures
from evaluation.studies.markdown import markdown
from evaluation.studies.truncation import Attribute, Graded, Mixed, Truncated, Unit
from model_store.card import ModelCard
from model_store.features.shipped import ShippedName, shipped_network
from model_store.generator import Generator
from model_store.load import load
from training.phantoms.dataset import WINDOW
from training.phantoms.phantom import thorax
from volumes.intensity import to_unit
from volumes.scan import preparation_by

OnStep = Callable[[str, int, int], None]
T = TypeVar("T")
EXTENT_MM = 340.0
"""Edge of a phantom's field of view."""
SIDE = 64
"""Of a phantom, in voxels."""


@dataclass(frozen=True)
class Plan:
    """How large the study is."""

    out: Path
    reference: Path | None = None
    """Scans; None: the model's own untruncated samples, of other seeds."""
    num_samples: int = 100
    """At each level, and of the model's own as the reference."""
    pairs: int = 16
    """Of samples that are mixed."""
    phantoms: int = 60
    """Damaged ones, in 5 grades and 4 kinds."""
    reference_phantoms: int = 60
    seed: int = 0
    device: str = "cpu"


@dataclass
class Study:
    """Writes report.json and table.md to `plan.out`."""

    plan: Plan
    card: ModelCard
    folder: Path
    on_step: OnStep

    def run(self) -> Path:
        """The report. Raises: EvaluationRefused, ValueError for too few samples."""
        plan = self.plan
        model = load(self.folder, self.card, plan.device)
        rows, found = self._sweep(model)
        predicted = measures.predicted(model, plan.seed, found)
        mixes: list[Mixed] = []
        if self.card.latent.num_styles > 1:
            count = self.card.latent.num_styles - 1
            mixes = list(self._told("mixing", measures.mixed(model, plan.pairs, plan.seed), count))
        return self._report(rows, predicted, mixes, self._graded())

    def _sweep(self, model: Generator) -> tuple[list[Truncated], list[dict[str, float]]]:
        """A row for each level, and the attributes of the untruncated samples."""
        plan, network = self.plan, shipped_network("distortion", self.plan.device)
        count = plan.num_samples
        if plan.reference is None:
            own = measures.samples(model, count, plan.seed + count)
            reference = measures.seen_by(network, self._told("reference", own, count))
        else:
            scans = Folder(plan.reference, preparation_by(self.card))
            units = (scan.make().unit for scan in scans)
            reference = measures.seen_by(network, self._told("reference", units, len(scans)))
        found: list[dict[str, float]] = []

        def noted(units: Iterable[Unit]) -> Iterator[Unit]:
            for unit in units:
                found.append(measures.attributes(unit))
                yield unit

        rows: list[Truncated] = []
        for level in measures.levels_of(self.card.truncation):
            made = self._told(f"level {level:g}", measures.samples(model, count, plan.seed, level), count)
            rows.append(measures.truncated(level, reference, measures.seen_by(network, made if rows else noted(made))))
        return rows, found

    def _graded(self) -> list[Graded]:
        plan = self.plan
        total = plan.reference_phantoms + plan.phantoms
        made = list(self._told("phantoms", (_phantom(plan.seed + k) for k in range(total)), total))
        whole, worse = made[: plan.reference_phantoms], list(measures.damaged(made[plan.reference_phantoms :]))
        names: tuple[ShippedName, ...] = ("distortion", "random")
        return [row for name in names for row in measures.graded(shipped_network(name, plan.device), whole, worse)]

    def _told(self, what: str, units: Iterable[T], count: int) -> Iterator[T]:
        self.on_step(what, 0, count)
        for done, unit in enumerate(units, 1):
            yield unit
            self.on_step(what, done, count)

    def _report(
        self, rows: list[Truncated], predicted: list[Attribute], mixes: list[Mixed], realism: list[Graded]
    ) -> Path:
        plan = {key: value for key, value in asdict(self.plan).items() if key not in ("out", "reference")}
        report = {
            "study": "truncation",
            "model": self.card.name,
            "model_sha256": self.card.sha256,
            "reference": "its own samples" if self.plan.reference is None else "scans",
            "plan": plan,
            "truncation": [asdict(row) for row in rows],
            "attributes": [asdict(row) for row in predicted],
            "mixing": [asdict(row) for row in mixes],
            "realism": [asdict(row) for row in realism],
        }
        (self.plan.out / "table.md").write_text("\n".join(_tables(rows, predicted, mixes, realism)))
        path = self.plan.out / "report.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
        return path


def _phantom(seed: int) -> Unit:
    made = thorax(seed, (SIDE,) * 3, (EXTENT_MM / SIDE,) * 3)
    return np.asarray(to_unit(made.array, *WINDOW), np.float32)


def _tables(
    rows: Sequence[Truncated], predicted: Sequence[Attribute], mixes: Sequence[Mixed], realism: Sequence[Graded]
) -> Iterator[str]:
    yield markdown(
        ("level", "FID", "precision", "recall", "density", "coverage"),
        [(f"{r.level:g}", f"{r.fid:.3f}", *(f"{x:.2f}" for x in (r.precision, r.recall, r.density, r.coverage)))
         for r in rows],
    )  # fmt: skip
    yield markdown(("attribute", "R2 from z", "R2 from w"), [(r.name, _r2(r.z), _r2(r.w)) for r in predicted])
    if mixes:
        names = list(mixes[0].shares)
        yield markdown(
            ("source's styles", *names), [(str(r.crossover), *(f"{r.shares[n]:.2f}" for n in names)) for r in mixes]
        )
    yield markdown(
        ("features", "damage", "Spearman", *(f"grade {grade}" for grade in measures.GRADES)),
        [(r.features, r.kind, f"{r.correlation:.2f}", *(f"{r.medians[grade]:.2f}" for grade in measures.GRADES))
         for r in realism],
    )  # fmt: skip


def _r2(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
