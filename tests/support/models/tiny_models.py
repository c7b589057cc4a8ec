"""Tiny HA-GAN model folders for tests: real networks with random weights, written as the project writes models."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file

from model_store.card import AnyCard, IntensitySpec, LatentSpec, ModelCard, Provenance
from model_store.networks.hagan import HAGANEncoder, HAGANGenerator

C = TypeVar("C", bound=AnyCard)


def write_tiny_hagan(
    folder: Path,
    name: str,
    shape: Sequence[int] = (32, 32, 32),
    classes: Sequence[str] = (),
    encoder: bool = True,
    seed: int = 0,
    width: int = 4,
    latent: int = 8,
    stored: torch.dtype = torch.float16,
    **card_fields: Any,
) -> ModelCard:
    """Writes `folder / name` with card.json and weights.safetensors; further keywords replace fields of the card."""
    tensors = tiny_weights(shape[0], width, latent, len(classes), encoder, seed, stored)
    target = folder / name
    target.mkdir(parents=True)
    save_file(tensors, target / "weights.safetensors")
    fields: dict[str, Any] = {
        "name": name,
        "family": "hagan",
        "title": "A tiny model for tests",
        "modality": "CT",
        "shape": tuple(shape),
        "axes": "IAL",
        "spacing_mm": (4.0, 3.0, 2.0),
        "latent": LatentSpec(z_dim=latent, w_dim=latent),
        "intensity": IntensitySpec(low=-1024.0, high=600.0, units="HU"),
        "classes": list(classes),
        "has_encoder": encoder,
        "network": {"width": width},
        "provenance": Provenance(origin="trained", notes="random weights"),
    }
    fields |= card_fields
    return write_card(target, ModelCard(**fields, files={"weights.safetensors": ""}))


def tiny_weights(
    size: int, width: int, latent: int, classes: int, encoder: bool, seed: int, stored: torch.dtype
) -> dict[str, torch.Tensor]:
    """Random weights under the keys of a model folder's file. The global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = HAGANGenerator(size, width, latent, classes)
        # The default start gives volumes near 0; a wider last layer makes them fill [-1, 1].
        with torch.no_grad():
            generator.high.conv2.weight.mul_(6)
        tensors = {f"generator.{key}": value for key, value in generator.state_dict().items()}
        if encoder:
            state = HAGANEncoder(size, width, latent).state_dict()
            tensors |= {f"encoder.{key}": value for key, value in state.items()}
    return {key: value.to(stored).contiguous() for key, value in tensors.items()}


def write_card(target: Path, card: C) -> C:
    """Writes card.json with the digests of the folder's files as they are now."""
    digests = {name: hashlib.sha256((target / name).read_bytes()).hexdigest() for name in card.files}
    card = card.model_copy(update={"files": digests})
    (target / "card.json").write_text(card.model_dump_json(indent=2))
    return card
