"""Imports the generators of the MEGAN authors (Uzunova et al., CMIG 2020) as a model folder.

The files are opened only in the jail (jail.py, megan_weights.py). They say neither their level nor the image's size nor
what the target domain is: the user does, and the card keeps it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from model_store.card import WEIGHTS, Provenance, TranslatorCard
from model_store.folder import software_version, staged, write_card
from model_store.importers.hub_folder import weights_in
from model_store.importers.jail import ImportRefused, Limits, run_jailed
from model_store.importers.overrides import Modality, check_geometry, complete_as
from model_store.integrity import sha256_of
from model_store.sizes.megan import LR_SIZES, MEGANSizes

AUTHORS_LR_SIZE = 64
_WRITTEN_RANGE = (0.0, 255.0)
"""What the authors' own files make of [-1, 1]."""
_LICENCE = "not stated; the authors' code is under the AGPL-3.0"
_LEVEL = re.compile(r"_(LR|HR(\d{1,2}))(?:\.pth)?$")


@dataclass(frozen=True)
class Target:
    """What the user says of the domain that the networks were trained on."""

    domain: str = ""
    modality: Modality = "MR"
    intensity: tuple[float, float] | None = None
    """Stored units of -1 and 1; the [0, 255] of the authors' files where None."""
    input_window: tuple[float, float] | None = None
    """Of the scans that come in; their own least and largest value where None, as the authors have it."""
    axes: str | None = None
    """Of A0, A1, A2; RAS where None, as the authors turn their scans."""
    grid: Literal["scan", "cube"] = "cube"
    """Cube as the authors stretch, unless a request says otherwise."""


def import_megan(
    name: str,
    lr: Path,
    hr: Sequence[Path],
    target_root: Path,
    *,
    lr_size: int = AUTHORS_LR_SIZE,
    target: Target = Target(),
    licence: str = "",
    force: bool = False,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
) -> TranslatorCard:
    """Imports NETG_best.pth of LR and of each HR network, coarse to fine, into `target_root / name`.

    Raises:
        ImportRefused, NotWritten: nothing was imported, and why.
    """
    if target.modality not in ("CT", "MR"):
        raise ImportRefused("--modality is CT or MR.")
    if lr_size not in LR_SIZES:
        raise ImportRefused(f"--lr-size is a multiple of 4 from {LR_SIZES[0]} to {LR_SIZES[-1]}.")
    files = [weights_in(Path(path).resolve()) for path in (lr, *hr)]
    for level, path in enumerate(files):
        _check_level(path, level)
    with staged(target_root, name, force) as folder:
        request = {"files": [str(path) for path in files], "target": str(folder / WEIGHTS)}
        facts = run_jailed("model_store.importers.megan_weights", request, limits)
        parts = {
            "name": name,
            "licence": licence or _LICENCE,
            "provenance": _provenance(files),
        }
        return write_card(folder, make_card(facts["levels"], lr_size, target, parts))


def make_card(levels: Sequence[dict[str, Any]], lr_size: int, target: Target, parts: dict[str, Any]) -> TranslatorCard:
    """`levels`: what the files say of their networks; `parts`: the fields that follow from the files themselves.

    Raises:
        ImportRefused: wishes or scales that no card can have.
    """
    axes, window = target.axes or "RAS", target.intensity or _WRITTEN_RANGE
    check_geometry(axes, (1.0, 1.0, 1.0), window)
    scales = [{"width": level["width"], "blocks": level["blocks"]} for level in levels]
    network = {"lr": scales[0], "hr": scales[1:], "lr_size": lr_size, "edges_at_twice": levels[0]["edges_at_twice"]}
    sides = " -> ".join(str(lr_size << level) for level in range(len(levels)))
    domain = target.domain or target.modality
    card = complete_as(
        TranslatorCard,
        parts
        | {
            "family": MEGANSizes.family,
            "title": f"MEGAN to {domain}, {sides}",
            "description": f"Imported from checkpoints in the format of the MEGAN authors: {sides}.",
            "modality": target.modality,
            "target_domain": domain,
            "axes": axes,
            "grid": target.grid,
            "input_window": target.input_window,
            # Units are known only where the user says what the range means.
            "intensity": {
                "low": window[0],
                "high": window[1],
                "units": "HU" if target.intensity and target.modality == "CT" else "a.u.",
            },
            "network": network,
        },
    )
    fault = MEGANSizes.model_validate(card.network).fault(card)
    if fault:
        raise ImportRefused(f"These files make no model: {fault}.")
    return card


def spoken(level: int) -> str:
    """A level's file in messages: its option, counted where there are several."""
    return "--lr" if level == 0 else f"--hr (number {level})"


def _check_level(path: Path, level: int) -> None:
    """The authors' folders and files are named by their level; a name that says another one is a mix-up."""
    found = _LEVEL.search(path.name) or _LEVEL.search(path.parent.name)
    if found is not None and int(found[2] or 0) != level:
        raise ImportRefused(
            f"The {spoken(level)} file is named as that of level {found[1]}; give LR, HR1, HR2 and so on in order."
        )


def _provenance(files: Sequence[Path]) -> Provenance:
    names = ["lr", *(f"hr{level}" for level in range(1, len(files)))]
    return Provenance(
        origin="imported",
        sources=["MEGAN checkpoints (Uzunova et al., CMIG 2020)"],
        notes="In training the edges came from MATLAB's edge3; here they are drawn by the same rule.",
        software_version=software_version(),
        original_sha256={name: sha256_of(path) for name, path in zip(names, files, strict=True)},
    )
