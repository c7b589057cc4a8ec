"""HA-GAN's table VI and its figures 4 and 5 on phantoms: what its latents say, where its volumes lie, and its walks.

Loaded through voxelsmith.extras, because it needs torch and the training's libraries.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import VerbNotSupported
from evaluation.features.own_encoder import OwnEncoder
from evaluation.page.html import STYLE
from evaluation.page.plots import mds, scatter
from evaluation.samples import Made
from evaluation.studies import regression, walks
from evaluation.studies.regression import ATTRIBUTES, PAPER, Array, Row, row_of
from evaluation.studies.tissues import bone_ml, lung_ml
from evaluation.studies.walks import Walk
from model_store.card import AnyCard, ModelCard
from model_store.features.network import FeatureNetwork
from model_store.features.shipped import shipped_network
from model_store.generator import Generator
from model_store.load import load
from training.engine.errors import DataRefused
from volumes.orientation import in_ras_order
from volumes.preview import three_planes
from volumes.volume import Volume
from voxelsmith.contact_sheet import write_contact_sheet
from voxelsmith.studies.phantom_models import OnStep, SmallHAGAN, Truth, opened, phantoms, trained, units

ENCODER, UNTRAINED = "HA-GAN's encoder", "HA-GAN's encoder after 1 iteration"
LUNG, BONE = "lung", "bone"
WAYS: tuple[walks.Way, ...] = ("ml", "deviations")
HU = "HU"
PICTURE = 96
"""Edge of a plane in figure 5, in pixels."""
TISSUES = {LUNG: lung_ml, BONE: bone_ml}
NOT_REPRODUCED = (
    "the paper's measurements, FEV1pp, FEV1/FVC and %emphysema of COPDGene, which are private; figure 4's features by "
    "Med3D, whose weights do not ship; VAE-GAN and alpha-GAN; lung segmentation by CIP"
)


@dataclass(frozen=True)
class Plan:
    """How large the study is."""

    out: Path
    model: SmallHAGAN = field(default_factory=SmallHAGAN)
    phantoms: int = 300
    """To train on and to fit regressions to."""
    test_phantoms: int = 100
    starts: int = 8
    """Random latents that walk."""


@dataclass(frozen=True)
class Side:
    """One set of phantoms: truth, features by name, tissues as they are measured."""

    truth: Truth
    features: dict[str, Array]
    measured: dict[str, Array]

    def values(self, attribute: str) -> Array:
        named = (np.log(self.truth.lung_volume_ml), np.log(self.truth.bone_volume_ml), self.truth.severity)
        return dict(zip(ATTRIBUTES, named, strict=True))[attribute]


@dataclass
class Study:
    """Trains, encodes and measures, and writes report.json, table.md, figure-4.html and figure-5.png to `plan.out`.

    A study that was broken off goes on where its training was. With `served`, a model's card and folder, nothing is
    trained.
    """

    plan: Plan
    on_step: OnStep
    served: tuple[AnyCard, Path] | None = None

    def run(self) -> Path:
        """The report. Raises: DataRefused, VerbNotSupported."""
        plan = self.plan
        card = None if self.served is None else encoding(self.served[0])
        side = plan.model.size if card is None else max(card.shape)
        folders = {"train": (plan.phantoms, plan.model.seed), "test": (plan.test_phantoms, plan.model.seed + 10**6)}
        truths = {
            name: phantoms(plan.out / name, count, seed, side, self.on_step) for name, (count, seed) in folders.items()
        }
        model, networks = self._networks(card)
        fit, test = (self._side(name, truths[name], model.card, networks) for name in folders)
        rows = [self._row(name, what, fit, test) for name in networks for what in ATTRIBUTES]
        return self._report(model.card, rows, self._walks(model, fit), self._figure_4(model, test), test)

    def _row(self, features: str, attribute: str, fit: Side, test: Side) -> Row:
        pairs = [(side.features[features], side.values(attribute)) for side in (fit, test)]
        return regression.judged(features, attribute, pairs[0], pairs[1], self.plan.model.seed)

    def _networks(self, card: ModelCard | None) -> tuple[Generator, dict[str, FeatureNetwork]]:
        """The model, and what is compared by the name of its row."""
        plan, device = self.plan, self.plan.model.device
        baselines: dict[str, FeatureNetwork] = {
            "random": shipped_network("random", device), "distortion": shipped_network("distortion", device)
        }  # fmt: skip
        if card is not None and self.served is not None:
            model = load(self.served[1], card, device)
            return model, {ENCODER: OwnEncoder(model), **baselines}
        data, runs = plan.out / "train", plan.out / "runs"
        model = opened(trained("hagan", data, runs, plan.model, self.on_step), device)
        fresh = opened(trained("untrained", data, runs, replace(plan.model, iterations=1), self.on_step), device)
        return model, {ENCODER: OwnEncoder(model), UNTRAINED: OwnEncoder(fresh), **baselines}

    def _side(self, name: str, truth: Truth, card: ModelCard, networks: dict[str, FeatureNetwork]) -> Side:
        found: dict[str, list[Array]] = {key: [] for key in networks}
        measured: dict[str, list[float]] = {key: [] for key in TISSUES}
        low, high = _window(card)
        spacing_mm = in_ras_order(card.spacing_mm, card.axes)
        for unit in units(card, self.plan.out / name, self.on_step):
            for key, network in networks.items():
                found[key].append(row_of(network, unit))
            for key, measure in TISSUES.items():
                measured[key].append(measure(unit * (high - low) + low, spacing_mm))
        return Side(
            truth,
            {key: np.stack(rows) for key, rows in found.items()},
            {key: np.array(values) for key, values in measured.items()},
        )

    def _walks(self, model: Generator, fit: Side) -> list[Walk]:
        """Figure 5: the first start's volumes as pictures, one row for each walk."""
        starts = walks.starts(model, self.plan.starts, self.plan.model.seed)
        spacing_mm, window = in_ras_order(model.card.spacing_mm, model.card.axes), _window(model.card)
        pictures, found = [], []
        latents = walks.as_rows(fit.features[ENCODER], model.card.latent.w_dim)
        for tissue, way in product(TISSUES, WAYS):
            direction, stops = (
                walks.direction_of(latents, fit.measured[tissue]),
                walks.stops_of(way, fit.measured[tissue]),
            )

            def see(row: int, column: int, hu: NDArray[np.float32], walk: Any = (tissue, way, stops)) -> None:
                name, unit, asked = walk
                self.on_step(f"walk: {name}", row * len(asked) + column + 1, len(asked) * len(starts))
                if row == 0:
                    told = f"{name}: asked {asked[column]:.4g} {unit}, measured {TISSUES[name](hu, spacing_mm):.0f} ml"
                    volume = Volume(hu, np.diag([*spacing_mm, 1.0]))
                    pictures.append((told, three_planes(volume, window, PICTURE)))

            found.append(walks.walked(model, tissue, direction, way, stops, starts, TISSUES, see))
        write_contact_sheet(self.plan.out / "figure-5.png", pictures, walks.STOPS)
        return found

    def _figure_4(self, model: Generator, test: Side) -> dict[str, Any]:
        """Held-out phantoms and as many generated volumes, by the features distortion, in two dimensions."""
        network = shipped_network("distortion", self.plan.model.device)
        count = len(test.truth.files)
        made = Made(model.card, lambda: model, count, self.plan.model.seed, None, None)
        rows = []
        for done, sample in enumerate(made, 1):
            rows.append(row_of(network, sample.make().unit))
            self.on_step("figure 4", done, count)
        sets = mds({"reference": test.features["distortion"], "generated": np.stack(rows)})
        title = f"Multidimensional scaling of the features {network.name}: {count} held-out phantoms, {count} generated"
        (self.plan.out / "figure-4.html").write_text(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Figure 4</title><style>{STYLE}</style>'
            f"</head><body>{scatter(sets, title)}</body></html>\n"
        )
        return {"features": network.name, "sha256": network.sha256,
                "points": {name: points.round(4).tolist() for name, points in sets.items()}}  # fmt: skip

    def _report(
        self, card: ModelCard, rows: list[Row], found: list[Walk], figure_4: dict[str, Any], test: Side
    ) -> Path:
        told = {key: value for key, value in asdict(self.plan).items() if key != "out"}
        truths = {LUNG: test.truth.lung_volume_ml, BONE: test.truth.bone_volume_ml}
        report = {
            "study": "regression",
            "plan": told,
            "model": {"name": card.name, "sha256": card.sha256},
            "rows": [row.as_json() for row in rows],
            "paper": {"measurements": regression.MEASUREMENTS, "r2": PAPER},
            "measures": {name: agreement(test.measured[name], truth) for name, truth in truths.items()},
            "walks": [walk.as_json() for walk in found],
            "figure_4": figure_4,
            "not_reproduced": NOT_REPRODUCED,
        }
        (self.plan.out / "table.md").write_text(f"{regression.table(rows)}\n{walks.table(found)}")
        path = self.plan.out / "report.json"
        path.write_text(json.dumps(report, indent=1) + "\n")
        return path


def _window(card: ModelCard) -> tuple[float, float]:
    return card.intensity.low, card.intensity.high


def agreement(measured: Array, truth: Array) -> dict[str, float]:
    """Of a tissue's measure with the truth of held-out phantoms, in ml."""
    together = float(np.corrcoef(measured, truth)[0, 1]) if np.ptp(measured) > 0 and np.ptp(truth) > 0 else 0.0
    return {"measured_mean": float(measured.mean()), "truth_mean": float(truth.mean()),
            "truth_deviation": float(truth.std()), "correlation": together}  # fmt: skip


def encoding(card: AnyCard) -> ModelCard:
    """Raises: VerbNotSupported, DataRefused, where the study cannot ask the model what it asks."""
    if not isinstance(card, ModelCard) or not card.has_encoder:
        raise VerbNotSupported("encode", card.verbs)
    if card.intensity.units != HU:
        raise DataRefused(f"the study measures thoraces by {HU}: take a model of CT whose card has those units")
    if card.classes:
        raise DataRefused("the study moves latents alone: take a model without classes")
    return card
