"""An evaluation from its folders to its report: resumes where it was stopped."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation import doubts, measuring, report
from evaluation.collected import Collected, Measuring, OnVolume, collect
from evaluation.config import EvaluationConfig
from evaluation.errors import EvaluationRefused
from evaluation.features.table import network_of
from evaluation.page.html import page_of
from evaluation.part import Part, measured
from evaluation.preparing import neutral
from evaluation.report import FEATURES, PAGE, REPORT, Report
from evaluation.samples import Folder, Made, Samples, Seen, name_of
from model_store.card import ModelCard
from model_store.features.network import FeatureNetwork
from model_store.folder import replacing, software_version
from model_store.generator import Generator
from model_store.load import load
from volumes.orientation import in_ras_order
from volumes.scan import Preparation, preparation_by

PARTS = ".parts"
"""Folder under `out` with a file per volume; gone when the report is written."""


@dataclass(frozen=True)
class Model:
    """Whose volumes are judged, or whose way of preparing scans is taken."""

    folder: Path
    card: ModelCard


def evaluate(config: EvaluationConfig, model: Model | None, on_volume: OnVolume) -> Report:
    """Writes report.json, report.html and features.npz to `config.out`. A stopped run goes on after what it finished.

    Args:
        model: makes the volumes where `config.generated` is None; else scans are prepared as for it.

    Raises:
        EvaluationRefused: the folders cannot be compared.
    """
    _check(config, model)
    open_model = None if model is None else _opener(model, config.device)
    how = neutral(config.reference) if model is None else preparation_by(model.card)
    network = network_of(config.features, config.device, config.weights, open_model)
    parts = config.out / PARTS
    parts.mkdir(parents=True, exist_ok=True)
    measure = _measuring(how, network, parts)
    reference = collect("reference", Folder(config.reference, how), measure, on_volume)
    if len(reference.names) < 2:
        raise EvaluationRefused("the reference has one scan; a comparison needs at least 2")
    train = None if config.train is None else collect("train", Folder(config.train, how), measure, on_volume)
    made = _made(config, model, open_model, how)
    generated = collect("generated", made, measure, on_volume)
    found = _report(config, model, how, network, (reference, train, generated), on_volume)
    _write(config.out, found, reference, train, generated)
    shutil.rmtree(parts, ignore_errors=True)
    return found


def _check(config: EvaluationConfig, model: Model | None) -> None:
    if config.generated is None and model is None:
        raise EvaluationRefused("give --model NAME or --generated DIR: whose volumes are to be judged")
    if config.generated is not None and config.generated.resolve() == config.reference.resolve():
        raise EvaluationRefused("the reference is the generated folder: what is compared with itself is not judged")
    if config.num_samples < 1:
        raise EvaluationRefused("--num-samples is at least 1")
    if config.generated is None and model is not None:
        class_of(model.card, config.class_label)


def _opener(model: Model, device: str) -> Callable[[], Generator]:
    """The loaded model, when it is first needed."""
    return cache(lambda: load(model.folder, model.card, device))


def _made(
    config: EvaluationConfig, model: Model | None, open_model: Callable[[], Generator] | None, how: Preparation
) -> Samples:
    if config.generated is not None:
        return Folder(config.generated, how, is_strict=True)
    assert model is not None
    assert open_model is not None
    label = class_of(model.card, config.class_label)
    return Made(model.card, open_model, config.num_samples, config.seed, config.truncation, label)


def class_of(card: ModelCard, label: int | str | None) -> int | None:
    """Raises: EvaluationRefused."""
    if label is None:
        return None
    if not card.classes:
        raise EvaluationRefused("this model has no classes")
    if isinstance(label, str) and label in card.classes:
        return card.classes.index(label)
    if isinstance(label, int) and 0 <= label < len(card.classes):
        return label
    raise EvaluationRefused(f"--class is one of {', '.join(card.classes)}, or an index")


def _measuring(how: Preparation, network: FeatureNetwork, parts: Path) -> Measuring:
    spacing_mm, is_head = in_ras_order(how.spacing_mm, how.axes), how.placement == "head"

    def of(seen: Seen) -> Part:
        return measured(seen.unit, spacing_mm, is_head, network, seen.extent_mm, seen.stored, seen.is_whole)

    return Measuring(network.sha256, of, parts)


def _report(
    config: EvaluationConfig,
    model: Model | None,
    how: Preparation,
    network: FeatureNetwork,
    sides: tuple[Collected, Collected | None, Collected],
    on_volume: OnVolume,
) -> Report:
    reference, train, generated = sides
    x, y, seed = reference.features, generated.features, config.seed
    told = [*doubts.of_voxels(reference), *(doubts.of_voxels(train) if train else ())]
    told += doubts.of_sides(
        reference, generated, is_stretched=how.placement == "stretch" and config.generated is not None
    )
    told += doubts.of_training(train, reference, generated) if train else ()
    manifold = measuring.manifold(x, y, seed)
    no_classifier = "no classifier of this domain is at hand, and one of photographs says nothing of grey slices"
    return Report(
        software_version=software_version(),
        torch_version=torch.__version__,
        seed=seed,
        generated=_what(config, model),
        counts=report.Counts(reference=len(x), generated=len(y), train=None if train is None else len(train.names)),
        preparation=_prepared(how),
        features=report.FeatureSet(name=network.name, sha256=network.sha256, shape=network.shape, size=x.shape[1]),
        fid=measuring.fid(x, y, seed),
        kid=measuring.kid(x, y, seed),
        mmd=measuring.mmd(x, y, seed),
        precision=manifold["precision"],
        recall=manifold["recall"],
        density=manifold["density"],
        coverage=manifold["coverage"],
        ms_ssim_pairs=measuring.ms_ssim_pairs(reference, generated, seed, lambda k, n: on_volume("pairs", k, n)),
        inception_score=report.Estimate(value=None, reason=no_classifier),
        realism=measuring.realism(x, y, generated.names, seed),
        nearest=measuring.nearest(reference, train, generated, seed),
        detail=measuring.detail(reference, generated, seed),
        warnings=told,
    )


def _what(config: EvaluationConfig, model: Model | None) -> report.Generated:
    if config.generated is not None or model is None:
        folder = config.generated or config.reference
        return report.Generated(kind="folder", name=name_of(folder.resolve()))
    level = model.card.truncation.default if config.truncation is None else config.truncation
    return report.Generated(
        kind="model", name=model.card.name, sha256=model.card.sha256, truncation=level, class_label=config.class_label
    )


def _prepared(how: Preparation) -> report.Preparation:
    return report.Preparation(
        shape=in_ras_order(how.shape, how.axes),
        spacing_mm=in_ras_order(how.spacing_mm, how.axes),
        placement=how.placement,
        window=how.window,
    )


def _write(out: Path, found: Report, reference: Collected, train: Collected | None, generated: Collected) -> None:
    """The report last: where it is, the rest is whole."""
    sides = {"reference": reference, "generated": generated} | ({"train": train} if train else {})
    arrays: dict[str, Any] = {name: side.features.astype(np.float32) for name, side in sides.items()}
    arrays |= {f"{name}_names": np.array(side.names) for name, side in sides.items()}
    arrays["features"] = np.array(json.dumps(found.features.model_dump()))
    with replacing(out / FEATURES) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    with replacing(out / PAGE) as partial:
        partial.write_text(page_of(found, reference, train, generated), encoding="utf-8")
    with replacing(out / REPORT) as partial:
        partial.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
