"""Import of the authors' HA-GAN checkpoints (G, E, Sub_E .pth) into a model folder: card.json and weights.safetensors.

The files are read in a jail (`jail.py`, `hagan_weights.py`); here the sizes are settled, the card is written and the
finished folder appears under its name in one step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_store.card import WEIGHTS, ModelCard, Provenance
from model_store.folder import software_version, staged, write_card
from model_store.importers.hagan_sizes import Sizes, read_config, settle
from model_store.importers.hub_folder import config_in, weights_in
from model_store.importers.jail import ImportRefused, Limits, run_jailed
from model_store.importers.overrides import Modality, check_geometry, class_names, complete
from model_store.integrity import sha256_of
from model_store.sizes.hagan import HAGANSizes

__all__ = ["ImportRefused", "Limits", "import_hagan"]

_WIDTH = 32


@dataclass(frozen=True)
class Convention:
    """What the authors' preprocessing of a modality does to axes, units and size."""

    axes: str
    intensity: tuple[float, float]
    units: str
    anatomy: str
    extent_mm: tuple[float, float, float] | None
    """Millimetres along A0, A1, A2 that became the cube in training, where they are known."""
    cut_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    """Of a scan's field of view, what they kept before the resize."""


_CONVENTIONS: dict[Modality, Convention] = {
    # preprocess.py: SimpleITK's array [z, y, x] of an LPS image, not reoriented: A0 up, A1 back, A2 left.
    "CT": Convention("SPL", (-1024.0, 600.0), "HU", "thorax", None),
    # GSP brains: FreeSurfer's LIA volume of 256 mm with axes in order (1, 2, 0). 20 mm were cut off both ends of A1 and
    # A2, blank planes off A0: about 166 x 216 x 216 mm became the cube.
    "MR": Convention("IAL", (0.0, 140.0), "a.u.", "brain", (166.0, 216.0, 216.0), (None, 216.0, 216.0)),
}


def import_hagan(
    name: str,
    generator: Path,
    target_root: Path,
    *,
    encoder: Path | None = None,
    sub_encoder: Path | None = None,
    discriminator: Path | None = None,
    config: Path | None = None,
    resolution: int | None = None,
    intensity: tuple[float, float] | None = None,
    classes: Sequence[str] | None = None,
    modality: Modality = "CT",
    axes: str | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
    licence: str = "",
    force: bool = False,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
) -> ModelCard:
    """Imports the authors' checkpoint files into `target_root / name` and returns the card.

    Args:
        generator: G_iter<N>.pth; encoder, sub_encoder: E_ and Sub_E_, needed to encode; discriminator: D_, only looked
            at for sizes. Each may be a folder with one weight file.
        config: configs.json of the training run (img_size, latent_dim, num_class); the generator's folder may hold it.
        resolution: 128 or 256, where no file tells.
        intensity: stored units of -1 and 1; the modality's own where None.
        classes: names of a conditional model's classes, in order.
        axes, spacing_mm: of the network's A0, A1, A2; those of HA-GAN's preprocessing for the modality where None.
        force: replace an existing model of that name.

    Raises:
        ImportRefused, NotWritten: nothing was imported, and why.
    """
    paths = {"generator": generator, "encoder": encoder, "sub_encoder": sub_encoder, "discriminator": discriminator}
    files = {role: weights_in(Path(path).resolve()) for role, path in paths.items() if path is not None}
    if "encoder" in files and "sub_encoder" not in files:
        raise ImportRefused("--encoder alone cannot encode; give --sub-encoder (Sub_E_iter<N>.pth) as well.")
    stated = read_config(config or config_in(Path(generator)))
    with staged(target_root, name, force) as folder:
        request = {"files": {role: str(path) for role, path in files.items()}, "target": str(folder / WEIGHTS)}
        facts = run_jailed("model_store.importers.hagan_weights", request, limits)
        sizes = settle(facts, stated, resolution, classes)
        provenance = Provenance(
            origin="imported",
            sources=["HA-GAN checkpoint files (Sun et al., IEEE JBHI 2022)"],
            notes=sizes.note,
            software_version=software_version(),
            original_sha256={role: sha256_of(path) for role, path in files.items()},
        )
        parts = {"name": name, "provenance": provenance, "has_encoder": "encoder" in files, "axes": axes,
                 "spacing_mm": spacing_mm, "intensity": intensity, "licence": licence}  # fmt: skip
        return write_card(folder, make_card(sizes, modality, class_names(classes, sizes.num_classes), parts))


def make_card(sizes: Sizes, modality: Modality, classes: list[str], parts: dict[str, Any]) -> ModelCard:
    """`parts`: the card's fields as the user gave them (None: the modality's own), without sizes."""
    if modality not in _CONVENTIONS:
        raise ImportRefused("--modality is CT or MR.")
    usual, size = _CONVENTIONS[modality], sizes.size
    spacing = tuple(extent / size for extent in usual.extent_mm) if usual.extent_mm else (1.0, 1.0, 1.0)
    window, axes = parts["intensity"] or usual.intensity, parts["axes"] or usual.axes
    check_geometry(axes, parts["spacing_mm"] or spacing, window)
    preprocess: dict[str, Any] = {"placement": "stretch", "trim_blank_slices": True, "window": window}
    if axes == usual.axes:  # scans that were turned otherwise were not prepared by the authors' script
        preprocess["extent_mm"] = usual.cut_mm
    whole = parts | {
        "family": HAGANSizes.family,
        "title": f"HA-GAN {usual.anatomy}, {size} cubed",
        "description": f"Imported from checkpoints in the format of the HA-GAN authors: {modality}, {size} cubed.",
        "modality": modality,
        "anatomy": usual.anatomy,
        "licence": parts["licence"] or "not stated by the authors",
        "shape": (size, size, size),
        "axes": axes,
        "spacing_mm": parts["spacing_mm"] or spacing,
        "spacing_is_nominal": parts["spacing_mm"] is None,
        "latent": {"z_dim": sizes.latent_dim, "w_dim": sizes.latent_dim},
        "intensity": {"low": window[0], "high": window[1], "units": usual.units},
        "preprocess": preprocess,
        "classes": classes,
        "network": {"width": _WIDTH},
    }
    return complete(whole)
