"""Tiny models of the 3D-StyleGAN authors' family, made by the import's own conversion from random variables."""

from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from model_store.card import ModelCard, Provenance
from model_store.importers.stylegan3d import make_card
from model_store.importers.stylegan3d_pickle import read_networks
from model_store.importers.stylegan3d_sizes import settle, take_apart
from model_store.importers.stylegan3d_weights import convert
from tests.support.models.stylegan3d_pickles import Generator, generator, snapshot
from tests.support.models.tiny_models import write_card


def write_stylegan3d(
    folder: Path, name: str = "tiny-stylegan3d", variables: Generator | None = None, **card_fields: Any
) -> ModelCard:
    """Writes `folder / name`, of 12x8x16 voxels by default; further keywords replace fields of the card."""
    pickle_file = folder / f"{name}.pkl"
    folder.mkdir(parents=True, exist_ok=True)
    pickle_file.write_bytes(snapshot(variables or generator()))
    card = convert_pickle(folder, name, pickle_file, **card_fields)
    pickle_file.unlink()
    return card


def convert_pickle(folder: Path, name: str, pickle_file: Path, which: int = 2, **card_fields: Any) -> ModelCard:
    """As `import_stylegan3d` does, but in this process; `which` is 0 for G, 2 for Gs."""
    target = folder / name
    target.mkdir(parents=True)
    parts = take_apart(read_networks(pickle_file)[which])
    sizes = settle(parts)
    save_file(convert(parts, sizes), target / "weights.safetensors")
    fields = {
        "name": name,
        "modality": "MR",
        "axes": "IAL",
        "spacing_mm": (4.0, 3.0, 2.0),
        "licence": "",
        "truncation": {"kind": "psi", "default": sizes.psi, "cutoff": sizes.cutoff},
        "classes": [f"class-{k}" for k in range(sizes.num_classes)],
        "provenance": Provenance(origin="imported", notes="random weights"),
        "files": {"weights.safetensors": ""},
    }
    return write_card(target, make_card(sizes.facts(), None, fields).model_copy(update=card_fields))
