"""Import of any trained generator from an ONNX file: z, and a class where there are some, in, and a volume out.

The files are judged and run in a jail (`jail.py`, `onnx_weights.py`). They say neither where their axes point nor what
their values mean: the user does, and the card keeps it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_store.card import WEIGHTS, ModelCard, Provenance
from model_store.folder import software_version, staged, write_card
from model_store.importers.jail import ImportRefused, Limits, run_jailed
from model_store.importers.overrides import Modality, check_geometry, class_names, complete_as
from model_store.integrity import sha256_of
from model_store.sizes.onnx import ONNXCard, ONNXSizes

_WRITTEN_RANGE = (0.0, 255.0)
LIMITS = Limits(memory_bytes=16 << 30, file_bytes=4 << 30, cpu_s=1200, wall_s=300.0)
"""A dry run makes two volumes."""


@dataclass(frozen=True)
class Meaning:
    """What the user says of the network's latent and volume."""

    axes: str
    """Where A0, A1, A2 point."""
    z_dim: int | None = None
    """Where the file does not say it."""
    shape: tuple[int, int, int] | None = None
    """(A0, A1, A2), where the file does not say it."""
    network_range: tuple[float, float] = (-1.0, 1.0)
    """Of the network's values."""
    intensity: tuple[float, float] | None = None
    """Stored units of both ends of that range; [0, 255] where None."""
    modality: Modality = "MR"
    spacing_mm: tuple[float, float, float] | None = None
    classes: Sequence[str] = ()
    """Names, in order."""


def import_onnx(
    name: str,
    generator: Path,
    target_root: Path,
    meaning: Meaning,
    *,
    encoder: Path | None = None,
    licence: str = "",
    force: bool = False,
    limits: Limits = LIMITS,
) -> ModelCard:
    """Imports a generator, with its encoder where there is one, into `target_root / name` and returns the card.

    Raises:
        ImportRefused, NotWritten: nothing was imported, and why.
    """
    window, spacing = meaning.intensity or _WRITTEN_RANGE, meaning.spacing_mm or (1.0, 1.0, 1.0)
    check_geometry(meaning.axes, spacing, window)
    classes = class_names(meaning.classes, len(meaning.classes))
    if meaning.modality not in ("CT", "MR"):
        raise ImportRefused("--modality is CT or MR.")
    files = {"generator": generator, "encoder": encoder}
    paths = {role: str(Path(path).resolve()) if path else None for role, path in files.items()}
    with staged(target_root, name, force) as folder:
        request = {**paths, "target": str(folder / WEIGHTS), "z_dim": meaning.z_dim, "shape": meaning.shape,
                   "classes": len(classes), "threads": os.cpu_count() or 1}  # fmt: skip
        facts = run_jailed("model_store.importers.onnx_weights", request, limits)
        _check_range(facts, meaning.network_range)
        parts = {"name": name, "licence": licence or "not stated", "classes": classes, "has_encoder": bool(encoder),
                 "spacing_mm": spacing, "provenance": _provenance(paths, facts)}  # fmt: skip
        return write_card(folder, make_card(facts, meaning, window, parts))


def make_card(facts: dict[str, Any], meaning: Meaning, window: tuple[float, float], parts: dict[str, Any]) -> ModelCard:
    """`facts`: what the dry run found; `parts`: the fields that follow from the files and the user's other wishes."""
    shape, modality = tuple(facts["shape"]), meaning.modality
    size = "x".join(str(side) for side in shape)
    return complete_as(
        ONNXCard,
        parts
        | {
            "family": ONNXSizes.family,
            "title": f"ONNX generator, {size}",
            "description": f"Imported from an ONNX file: {modality}, {size}.",
            "modality": modality,
            "shape": shape,
            "axes": meaning.axes,
            "spacing_is_nominal": meaning.spacing_mm is None,
            "latent": {"z_dim": facts["z_dim"], "w_dim": facts["z_dim"]},
            # Units are known only where the user says what the range means.
            "intensity": {
                "low": window[0],
                "high": window[1],
                "units": "HU" if meaning.intensity and modality == "CT" else "a.u.",
                "network_range": meaning.network_range,
            },
            "preprocess": {"placement": "stretch", "window": meaning.intensity},
            "network": facts["network"],
        },
    )


def _check_range(facts: dict[str, Any], stated: tuple[float, float]) -> None:
    """A network that does not keep its range overshoots a little; what lies far beyond has another range."""
    low, high = stated
    if facts["low"] < low - (high - low) or facts["high"] > high + (high - low):
        found = f"{facts['low']:.4g} to {facts['high']:.4g}"
        raise ImportRefused(f"The network gives values from {found}, far beyond --range {low:g} {high:g}.")


def _provenance(paths: dict[str, str | None], facts: dict[str, Any]) -> Provenance:
    values = f"{facts['low']:.3g} to {facts['high']:.3g}"
    return Provenance(
        origin="imported",
        sources=["ONNX file"],
        notes=f"A dry run took {facts['seconds']:.1f} s and gave values from {values}.",
        software_version=software_version(),
        original_sha256={role: sha256_of(Path(path)) for role, path in paths.items() if path},
    )
