"""Import of a pickle of the 3D-StyleGAN authors into a model folder: card.json and weights.safetensors.

The pickle is read in a jail (`jail.py`, `stylegan3d_weights.py`); here the card is written and the finished folder
appears under its name in one step.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from model_store.card import WEIGHTS, ModelCard, Provenance
from model_store.folder import software_version, staged, write_card
from model_store.importers.jail import ImportRefused, Limits, run_jailed
from model_store.importers.overrides import Modality, check_geometry, class_names, complete
from model_store.integrity import sha256_of
from model_store.sizes.stylegan3d import StyleGAN3DSizes

_WRITTEN_RANGE = (0.0, 255.0)
"""What the authors' own files make of [-1, 1]. In training it is [0, 1], to which users scale their volumes."""
_SPACING_MM = {(80, 96, 112): 2.0, (160, 192, 224): 1.0}
"""Of the authors' configurations; other volumes get 1 mm."""
_LICENCE = "not stated; the authors' code is under the Nvidia Source Code License-NC"


def import_stylegan3d(
    name: str,
    pickle_file: Path,
    target_root: Path,
    *,
    use: Literal["gs", "g"] = "gs",
    intensity: tuple[float, float] | None = None,
    classes: Sequence[str] | None = None,
    modality: Modality = "MR",
    axes: str | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
    psi: float | None = None,
    cutoff: int | None = None,
    licence: str = "",
    force: bool = False,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
) -> ModelCard:
    """Imports one generator of the pickle (G, D, Gs) into `target_root / name` and returns the card.

    Args:
        use: "gs", the moving average over the training, or "g", the generator as training left it.
        intensity: stored units of -1 and 1; the [0, 255] of the authors' files where None.
        classes: names of a conditional network's classes, in order.
        axes, spacing_mm: of A0, A1, A2; RAS as the authors' own files say, and 1 mm or their configuration's.
        psi, cutoff: truncation where a request gives none; the network's own where None.
        force: replace an existing model of that name.

    Raises:
        ImportRefused, NotWritten: nothing was imported, and why.
    """
    path = Path(pickle_file).resolve()
    if modality not in ("CT", "MR"):
        raise ImportRefused("--modality is CT or MR.")
    if psi is not None and not 0 <= psi <= 1:
        raise ImportRefused("--psi lies between 0 and 1.")
    with staged(target_root, name, force) as folder:
        request = {"path": str(path), "use": use, "target": str(folder / WEIGHTS)}
        facts = run_jailed("model_store.importers.stylegan3d_weights", request, limits)
        parts = {
            "name": name,
            "modality": modality,
            "axes": axes or "RAS",
            "spacing_mm": spacing_mm,
            "licence": licence or _LICENCE,
            "provenance": _provenance(path, use, facts),
            "truncation": truncation(facts, psi, cutoff),
            "classes": _classes(classes, facts["num_classes"]),
        }
        return write_card(folder, make_card(facts, intensity, parts))


def make_card(facts: dict[str, Any], intensity: tuple[float, float] | None, parts: dict[str, Any]) -> ModelCard:
    """`facts`: what the pickle says of its sizes; `parts`: the fields that follow from the user's wishes."""
    shape, modality = tuple(facts["shape"]), parts["modality"]
    spacing = parts["spacing_mm"] or (_SPACING_MM.get(shape, 1.0),) * 3
    window = intensity or _WRITTEN_RANGE
    check_geometry(parts["axes"], spacing, window)
    size = "x".join(str(length) for length in shape)
    return complete(
        parts
        | {
            "family": StyleGAN3DSizes.family,
            "title": f"3D-StyleGAN, {size}",
            "description": f"Imported from a pickle in the format of the 3D-StyleGAN authors: {modality}, {size}.",
            "shape": shape,
            "spacing_mm": spacing,
            "spacing_is_nominal": parts["spacing_mm"] is None,
            "latent": {
                "z_dim": facts["z_dim"],
                "w_dim": facts["w_dim"],
                "num_styles": facts["num_styles"],
                "has_style_space": True,
            },
            # Units are known only where the user says what the range means.
            "intensity": {
                "low": window[0],
                "high": window[1],
                "units": "HU" if intensity and modality == "CT" else "a.u.",
            },
            "preprocess": {"placement": "stretch", "window": intensity},
            "network": {key: facts[key] for key in StyleGAN3DSizes.model_fields},
        }
    )


def _provenance(path: Path, use: str, facts: dict[str, Any]) -> Provenance:
    which = "Gs, the moving average of the generator" if use == "gs" else "G, the generator without averaging"
    notes = [f"{which}. Architecture {facts['architecture']}. Trained in {facts['dtype']}, stored in float32."]
    if facts["noise"] and facts["random_noise"] is not None:
        notes.append(f"The authors' code sampled it with {'fresh' if facts['random_noise'] else 'stored'} noise.")
    snapshot = re.fullmatch(r"network-snapshot-(\d{1,9})\.pkl", path.name)
    return Provenance(
        origin="imported",
        sources=["3D-StyleGAN pickle (Hong et al., DGM4MICCAI 2021)"],
        iterations={"thousand_volumes": int(snapshot[1])} if snapshot else {},
        notes=" ".join(notes),
        software_version=software_version(),
        original_sha256={"pickle": sha256_of(path)},
    )


def truncation(facts: dict[str, Any], psi: float | None, cutoff: int | None) -> dict[str, Any]:
    """psi and cutoff for requests that give none: the wishes, else what the network takes by itself."""
    if cutoff is not None and not 1 <= cutoff <= facts["num_styles"]:
        raise ImportRefused(f"--cutoff lies between 1 and {facts['num_styles']}, the number of styles.")
    default = facts["psi"] if psi is None else psi
    return {"kind": "psi", "default": default, "cutoff": facts["cutoff"] if cutoff is None else cutoff}


def _classes(classes: Sequence[str] | None, count: int) -> list[str]:
    if classes is not None and len(classes) != count:
        raise ImportRefused(f"--classes names {len(classes)} classes, but the network has {count}.")
    return class_names(classes, count)
