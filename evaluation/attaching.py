"""What an evaluation leaves in the folder of the model that it judged: the headline, and the features of its scans."""

from pathlib import Path
from typing import Literal, get_args

import numpy as np

from evaluation import report
from evaluation.report import FEATURES, Report
from model_store.features.attachment import put_reference
from model_store.features.reference import About, Reference, reference_of
from model_store.features.shipped import ShippedName
from model_store.folder import replacing
from model_store.last_evaluation import EVALUATION, LastEvaluation, Measured

MEASURES = ("fid", "kid", "mmd", "precision", "recall", "density", "coverage")


def attach(found: Report, out: Path, folder: Path) -> str | None:
    """Into the model's folder, where the service finds them: the headline, and from `out` the features of the scans,
    of those that the model was trained on where the report knows them. Returns why there are no features.

    Raises: OSError, FolderFault.
    """
    with replacing(folder / EVALUATION) as partial:
        partial.write_text(headline(found).model_dump_json(indent=1) + "\n", encoding="utf-8")
    if found.features.name not in get_args(ShippedName):
        return f"a worker does not have the features {found.features.name}"
    try:
        put_reference(folder, _reference(found, out))
    except ValueError as err:
        return str(err)
    return None


def _reference(found: Report, out: Path) -> Reference:
    """Raises: ValueError."""
    among: Literal["train", "reference"] = "reference" if found.counts.train is None else "train"
    about = About(
        features=found.features.name,
        features_sha256=found.features.sha256,
        model_sha256=found.generated.sha256 or "",
        among=among,
        preparation=found.preparation.model_dump(mode="json"),
        software_version=found.software_version,
    )
    with np.load(out / FEATURES, allow_pickle=False) as stored:
        return reference_of(stored[among].astype(np.float64), about)


def headline(found: Report) -> LastEvaluation:
    """What a model's folder keeps of its report."""
    near, pairs = found.nearest, found.ms_ssim_pairs
    named = {
        **{name: getattr(found, name) for name in MEASURES},
        "ms_ssim_pairs": pairs.generated,
        "realism": found.realism.mean,
        "share_nearer": near.share_nearer,
        "share_below": near.share_below,
        "detail": found.detail.generated,
    }
    measures = {name: _figure(one) for name, one in named.items()}
    measures["fid_at_infinity"] = Measured(value=found.fid.at_infinity, reason=found.fid.note)
    measures["ms_ssim_pairs"] = Measured(value=pairs.generated.value, floor=pairs.reference.value)
    measures["detail"] = Measured(value=found.detail.generated.value, floor=found.detail.reference.value)
    return LastEvaluation(
        model_sha256=found.generated.sha256 or "",
        software_version=found.software_version,
        seed=found.seed,
        truncation=found.generated.truncation,
        reference=found.counts.reference,
        generated=found.counts.generated,
        train=found.counts.train,
        features=found.features.name,
        features_sha256=found.features.sha256,
        measures=measures,
    )


def _figure(one: report.Estimate) -> Measured:
    return Measured(value=one.value, floor=None if one.floor is None else one.floor.median, reason=one.reason)
